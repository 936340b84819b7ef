import type { FastifyRequest } from "fastify";

const MAX_CHARACTERS = 200;

/** Who asks, as far as it says so itself: for the history of a run. */
export function describeClient({ headers }: Pick<FastifyRequest, "headers">): string {
  const agent = headers["user-agent"];
  return agent === undefined || agent === "" ? "a client without a name" : agent.slice(0, MAX_CHARACTERS);
}
