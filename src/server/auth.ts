import { createHash, timingSafeEqual } from "node:crypto";
import type { FastifyReply, FastifyRequest } from "fastify";

declare module "fastify" {
  interface FastifyContextConfig {
    /** Takes upgrades, whose credentials come in their first frame. */
    socket?: boolean;
  }
}

/** Probes ask these without credentials. */
const OPEN_PATHS: ReadonlySet<string> = new Set(["/api/health", "/api/ready"]);

/** Whether someone may come in. One secret (`user:password`), as Prefect's `PREFECT_SERVER_API_AUTH_STRING`. */
export class Credentials {
  readonly #digest: Buffer;

  constructor(authString: string) {
    this.#digest = digest(authString);
  }

  /** The secret itself, as sockets send it. */
  acceptsToken(token: string): boolean {
    return timingSafeEqual(digest(token), this.#digest);
  }

  /** `Basic <base64>`, or the same secret as `Bearer`, for clients that only carry a key. */
  acceptsHeader(authorization: string | undefined): boolean {
    const [, scheme = "", value = ""] = /^(\S+) +(.*)$/.exec(authorization ?? "") ?? [];
    switch (scheme.toLowerCase()) {
      case "basic":
        return this.acceptsToken(Buffer.from(value, "base64").toString("utf8"));
      case "bearer":
        return this.acceptsToken(value);
      default:
        return false;
    }
  }
}

/** Hashed first, so that neither the time nor the length tells anything. */
function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}

/** Refuses requests without the credentials. Sockets are let through: they send theirs in their first frame. */
export function buildAuthHook(credentials: Credentials) {
  return (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const path = request.url.split("?", 1)[0]?.replace(/\/$/, "") ?? "";
    if (isSocket(request) || OPEN_PATHS.has(path) || credentials.acceptsHeader(request.headers.authorization)) {
      done();
      return;
    }
    void reply.code(401).send({ exception_message: "Unauthorized", code: "UNAUTHORIZED" });
  };
}

/** An upgrade, to one of our sockets or to nothing at all: workers are to see that their channel is not there. */
function isSocket(request: FastifyRequest): boolean {
  return request.ws === true && (request.is404 || request.routeOptions.config.socket === true);
}
