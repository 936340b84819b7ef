import type { FastifyReply } from "fastify";

/** When a container asks again while the plane is away. */
const RETRY_AFTER_SECONDS = 2;
/** Says that the plane, or somebody in front of it, is away: nginx and its like, and from 520 on Cloudflare. */
const AWAY_STATUS: ReadonlySet<number> = new Set([502, 503, 504, 520, 521, 522, 523, 524, 525, 526, 527, 530]);
/** The relay's own credentials are wrong, not the run's: somebody will mend them, and the run waits until then. */
const NOT_KNOWN_STATUS = 401;

export function saysAway(status: number, contentType: string): boolean {
  // Planes say in JSON that something is not there; a proxy that knows of no plane just now says it to people.
  const isLost = status === 404 && !contentType.includes("json");
  return isLost || AWAY_STATUS.has(status) || status === NOT_KNOWN_STATUS;
}

/** What the real client waits out for as long as it takes without counting it as a failure (surface §1.1). */
export function sendAway(reply: FastifyReply): FastifyReply {
  return sendLater(reply, "The control plane is away. This relay keeps what you say until it is back.");
}

export function sendLater(reply: FastifyReply, why: string): FastifyReply {
  for (const name of Object.keys(reply.getHeaders())) {
    reply.removeHeader(name);
  }
  return reply
    .code(503)
    .headers({ "retry-after": String(RETRY_AFTER_SECONDS), "prefect-maintenance": "true" })
    .type("application/json")
    .send({ exception_message: why });
}
