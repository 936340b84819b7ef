import { join } from "node:path";

/**
 * The environment of every test: the developer's own, less what would make Prefect or Flowyard talk to a real server,
 * with homes that are removed afterwards.
 */
export function buildTestEnvironment(home: string): NodeJS.ProcessEnv {
  // biome-ignore lint/style/noProcessEnv: handed on to children, nothing is read from it
  const inherited = Object.entries(process.env).filter(([name]) => !/^(PREFECT|FLOWYARD|NODE_TEST)_/.test(name));
  return {
    ...Object.fromEntries(inherited),
    PREFECT_HOME: join(home, "prefect"),
    FLOWYARD_HOME: join(home, "flowyard"),
    DO_NOT_TRACK: "1",
    PREFECT_SERVER_ANALYTICS_ENABLED: "false",
  };
}
