/** What proves who we are. Prefect's own precedence: the auth string wins over the key. */
export interface Credentials {
  /** Prefect's basic auth, `user:password`. */
  authString?: string | undefined;
  apiKey?: string | undefined;
}

export function buildCredentials(credentials: Credentials): { authorization?: string } {
  if (credentials.authString !== undefined && credentials.authString !== "") {
    return { authorization: `Basic ${Buffer.from(credentials.authString, "utf8").toString("base64")}` };
  }
  if (credentials.apiKey !== undefined && credentials.apiKey !== "") {
    return { authorization: `Bearer ${credentials.apiKey}` };
  }
  return {};
}
