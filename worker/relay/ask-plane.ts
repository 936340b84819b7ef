import type { Upstream } from "./relay-deps.ts";

const ANSWER_MS = 10_000;

const NOT_THERE: ReadonlySet<number> = new Set([400, 404, 410, 422]);

/** What the plane says to a question of the relay's own. */
export type PlaneAnswer = { kind: "found"; body: unknown; answeredAt: Date } | { kind: "missing" } | { kind: "away" };

/** Never throws: what is no answer of a plane's is none. */
export async function askPlane({ apiUrl, authorization }: Upstream, path: string): Promise<PlaneAnswer> {
  try {
    const response = await fetch(`${apiUrl}${path}`, {
      headers: authorization === undefined ? {} : { authorization },
      signal: AbortSignal.timeout(ANSWER_MS),
    });
    // A proxy whose plane is away may not find it either, but says so to people.
    const isPlane = response.headers.get("content-type")?.startsWith("application/json") === true;
    if (!(isPlane && response.ok)) {
      await response.body?.cancel();
      return { kind: isPlane && NOT_THERE.has(response.status) ? "missing" : "away" };
    }
    const date = Date.parse(response.headers.get("date") ?? "");
    return { kind: "found", body: await response.json(), answeredAt: Number.isNaN(date) ? new Date() : new Date(date) };
  } catch {
    return { kind: "away" };
  }
}
