import { createHmac, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import { Uuid } from "../../src/prefect-api/primitives.ts";

/** For which attempt of which run a container speaks. */
const RunIdentity = z.object({
  flow_run_id: Uuid,
  /** Null for a run that was taken by the stock protocol. */
  fencing_token: z.int().nullable(),
  /** `run`: what its flow does, until it has ended; `worker`: lines that its worker leaves, however late. */
  use: z.enum(["run", "worker"]).default("run"),
});
export type RunIdentity = z.infer<typeof RunIdentity>;

/** Prefect's basic auth is `user:password`, the one credential that its clients send on sockets too. */
const USER = "run";

/** What a container has as `PREFECT_API_AUTH_STRING`. Only a relay with the same secret takes it. */
export function buildRunAuthString(secret: string, identity: z.input<typeof RunIdentity>): string {
  const body = Buffer.from(JSON.stringify(identity)).toString("base64url");
  return `${USER}:${body}.${sign(secret, body).toString("base64url")}`;
}

/** Undefined when it is none of ours. */
export function parseRunAuthString(secret: string, authString: string): RunIdentity | undefined {
  const [, body = "", signature = ""] = /^run:([\w-]+)\.([\w-]+)$/.exec(authString) ?? [];
  const given = Buffer.from(signature, "base64url");
  const expected = sign(secret, body);
  if (given.length !== expected.length || !timingSafeEqual(given, expected)) {
    return undefined;
  }
  return RunIdentity.safeParse(JSON.parse(Buffer.from(body, "base64url").toString("utf8"))).data;
}

/** The credentials of an `Authorization: Basic` header; undefined for any other header. */
export function readBasicAuthString(authorization: string | undefined): string | undefined {
  const [, encoded] = /^basic +(\S+)$/i.exec(authorization ?? "") ?? [];
  return encoded === undefined ? undefined : Buffer.from(encoded, "base64").toString("utf8");
}

function sign(secret: string, body: string): Buffer {
  return createHmac("sha256", secret).update(body).digest();
}
