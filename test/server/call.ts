import type { TestPlane } from "../support/build-test-plane.ts";

// biome-ignore lint/suspicious/noExplicitAny: answers of a wire that the test is about
type Answer = { status: number; headers: Record<string, unknown>; body: any };

/** One request to the plane's API; the path is below `/api`. */
export async function call(
  plane: TestPlane,
  method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE",
  path: string,
  body?: unknown,
): Promise<Answer> {
  const answer = await plane.app.inject({
    method,
    url: `/api${path}`,
    ...(body === undefined ? {} : { payload: JSON.stringify(body), headers: { "content-type": "application/json" } }),
  });
  return {
    status: answer.statusCode,
    headers: answer.headers,
    body: answer.payload === "" ? null : JSON.parse(answer.payload),
  };
}
