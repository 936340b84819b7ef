import { z } from "zod";
import { MAX_PAGE_SIZE } from "../prefect-api/primitives.ts";
import { UserError } from "../shared/errors.ts";
import { type Connection, request } from "./http.ts";

/** Reading a listing whole stops here; whoever has more asks with a limit or a filter. */
const MAX_LISTED = 10_000;

export interface ListOptions {
  /** All of them when left out. */
  limit?: number | undefined;
  offset?: number | undefined;
  signal?: AbortSignal | undefined;
}

/** Reads a `…/filter` route page by page. Throws UserError LIST_TOO_LONG when a listing without a limit does not end. */
export async function list<S extends z.ZodType>(
  connection: Connection,
  schema: S,
  call: { path: string; body: object },
  options: ListOptions = {},
): Promise<z.output<S>[]> {
  const wanted = options.limit ?? MAX_LISTED + 1;
  const first = options.offset ?? 0;
  const found: z.output<S>[] = [];
  while (found.length < wanted) {
    const limit = Math.min(MAX_PAGE_SIZE, wanted - found.length);
    const body = { ...call.body, limit, offset: first + found.length };
    const page = await request(connection, z.array(schema), {
      method: "POST",
      path: call.path,
      body,
      signal: options.signal,
    });
    found.push(...page);
    if (page.length < limit) {
      break;
    }
  }
  if (options.limit === undefined && found.length > MAX_LISTED) {
    throw new UserError("LIST_TOO_LONG", `${call.path} lists more than ${MAX_LISTED} objects.`, {
      hint: "Ask with a limit or a narrower filter.",
    });
  }
  return found;
}
