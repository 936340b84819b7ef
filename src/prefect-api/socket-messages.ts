import { z } from "zod";

/** The subprotocol that every Prefect socket client offers and the server must echo. */
export const SOCKET_SUBPROTOCOL = "prefect";

/** First frame on every socket: the auth string in clear, or null. */
export const AuthMessage = z.object({ type: z.literal("auth"), token: z.string().nullish() });
export const AUTH_SUCCESS = { type: "auth_success" } as const;

/** Second frame on the streaming sockets; the filter's own schema depends on the path. */
export const FilterMessage = z.object({
  type: z.literal("filter"),
  filter: z.unknown(),
  /** Only for events: whether what already happened comes first. */
  backfill: z.boolean().default(true),
});

/** Close codes: 1008 is read by clients as bad credentials, 1002 as a malformed frame. */
export const CLOSE_UNAUTHORIZED = 1008;
export const CLOSE_MALFORMED = 1002;
/** "Try again later": the client reads too slowly for what it asked for. */
export const CLOSE_OVERLOADED = 1013;
export const CLOSE_GOING_AWAY = 1001;
export const CLOSE_FAILED = 1011;
