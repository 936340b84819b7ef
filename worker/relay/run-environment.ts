/** How one run reaches the plane through the relay. */
export interface RelayAccess {
  /** As the run's host sees it; undefined: on the worker's machine, at `port`. */
  url: string | undefined;
  port: number;
  /** The run's own; the worker's credentials stay with the relay. */
  authString: string;
}

/** `host` is the worker's machine as the run sees it. */
export function routeThroughRelay(
  env: Readonly<Record<string, string>>,
  { url, port, authString }: RelayAccess,
  host: string,
): Record<string, string> {
  const { PREFECT_API_KEY: _, ...rest } = env;
  return { ...rest, PREFECT_API_URL: url ?? `http://${host}:${port}/api`, PREFECT_API_AUTH_STRING: authString };
}
