type Method = "GET" | "POST" | "PUT" | "PATCH" | "DELETE";

/** One request that is sent to both servers. `$word` anywhere in it stands for what an earlier answer gave. */
export interface Step {
  /** What is asked, in words. Unique among the steps of its method. */
  name: string;
  method: Method;
  /** Below `/api`. */
  path: string;
  body?: unknown;
  /** A body that is sent as it is. */
  text?: string;
  headers?: Record<string, string>;
  /** Which values of the answer later steps may use: word → keys, joined by dots. */
  keep?: Record<string, string>;
  /** Of the answer only this is compared, for a reason that stands beside it. */
  view?: (body: unknown) => unknown;
}

type Options = Pick<Step, "keep" | "headers" | "text" | "view">;

/** No object has this id. */
export const NOBODY = "00000000-0000-4000-8000-000000000000";

export function get(name: string, path: string, options: Options = {}): Step {
  return { name, method: "GET", path, ...options };
}

export function post(name: string, path: string, body: unknown = {}, options: Options = {}): Step {
  return { name, method: "POST", path, body, ...options };
}

export function patch(name: string, path: string, body: unknown, options: Options = {}): Step {
  return { name, method: "PATCH", path, body, ...options };
}

export function put(name: string, path: string, body: unknown, options: Options = {}): Step {
  return { name, method: "PUT", path, body, ...options };
}

export function remove(name: string, path: string, options: Options = {}): Step {
  return { name, method: "DELETE", path, ...options };
}
