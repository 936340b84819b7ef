import type { FastifyReply, FastifyRequest } from "fastify";
import { API_VERSION } from "../prefect-api/primitives.ts";

const HEADER = "x-prefect-api-version";
/** The oldest client that Prefect 3's server talks to. */
const OLDEST = [0, 8, 0] as const;

function parseVersion(text: string): number[] | undefined {
  return /^\d+\.\d+\.\d+$/.test(text) ? text.split(".").map(Number) : undefined;
}

function isTooOld(version: readonly number[]): boolean {
  for (const [index, least] of OLDEST.entries()) {
    const part = version[index] ?? 0;
    if (part !== least) {
      return part < least;
    }
  }
  return false;
}

/** The API version that a client names in its header; null when it names none. */
export function readApiVersion(request: FastifyRequest): string | null {
  const version = request.headers[HEADER];
  return typeof version === "string" ? version : null;
}

export function checkApiVersion(request: FastifyRequest, reply: FastifyReply, done: () => void): void {
  const text = readApiVersion(request);
  if (text === null || text === API_VERSION) {
    done();
    return;
  }
  const version = parseVersion(text);
  if (version === undefined) {
    // Prefect's words, the missing blank included.
    refuse(reply, `Invalid X-PREFECT-API-VERSION header format.Expected header in format 'x.y.z' but received ${text}`);
  } else if (isTooOld(version)) {
    refuse(
      reply,
      `The request specified API version ${text} but this server requires version ${OLDEST.join(".")} or higher.`,
    );
  } else {
    done();
  }
}

function refuse(reply: FastifyReply, detail: string): void {
  void reply.code(400).send({ detail, code: "UNSUPPORTED_API_VERSION" });
}
