import { z } from "zod";
import { MAX_PAGE_SIZE } from "../prefect-api/primitives.ts";
import { UserError } from "../shared/errors.ts";

/** `limit` and `page` of every `…/paginate`; pages count from 1. */
export const pageKeys = {
  limit: z.number().int().nullish(),
  page: z.number().int().positive().default(1),
};

/** A list's limit with Prefect's default and ceiling. Throws UserError INVALID_REQUEST in Prefect's words. */
export function checkLimit(limit: number | null | undefined): number {
  if (limit !== null && limit !== undefined && limit > MAX_PAGE_SIZE) {
    throw new UserError("INVALID_REQUEST", `Invalid limit: must be less than or equal to ${MAX_PAGE_SIZE}.`);
  }
  if (limit !== null && limit !== undefined && limit < 0) {
    throw new UserError("INVALID_REQUEST", "Invalid limit: must be greater than or equal to 0.");
  }
  return limit ?? MAX_PAGE_SIZE;
}

/** The answer of a `…/paginate` route. */
export async function answerPage<T>(
  asked: { limit?: number | null | undefined; page: number },
  list: (at: { limit: number; offset: number }) => Promise<T[]>,
  count: () => Promise<number>,
) {
  const limit = checkLimit(asked.limit);
  const offset = Math.min((asked.page - 1) * limit, Number.MAX_SAFE_INTEGER);
  const results = await list({ limit, offset });
  const total = await count();
  return { results, count: total, limit, pages: limit === 0 ? 0 : Math.ceil(total / limit), page: asked.page };
}
