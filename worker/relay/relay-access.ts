/** What is no business of a flow: to change who works, what is deployed as a release, or who holds which run. */
const CLOSED: readonly { methods: ReadonlySet<string>; path: RegExp }[] = [
  {
    methods: new Set(["GET", "HEAD", "POST", "PATCH", "PUT", "DELETE"]),
    path: /^\/api\/flowyard\/(?!capabilities\/?$)/,
  },
  { methods: new Set(["POST", "PUT", "DELETE"]), path: /^\/api\/admin\// },
  { methods: new Set(["DELETE", "PATCH"]), path: /^\/api\/work_pools\// },
  { methods: new Set(["POST"]), path: /^\/api\/work_pools\/[^/]+\/(get_scheduled_flow_runs|workers\/heartbeat)\/?$/ },
];

export interface AccessRefusal {
  status: number;
  body: { exception_message: string; code: string };
}

/** Undefined: a run may do this. A flow may do what Prefect's client offers to flows; the worker's key is not theirs. */
export function decideAccess(method: string, url: string): AccessRefusal | undefined {
  const path = readPath(url);
  const isClosed = path === undefined || CLOSED.some((route) => route.methods.has(method) && route.path.test(path));
  return isClosed
    ? {
        status: 403,
        body: { exception_message: `A flow run's token may not ${method} ${path ?? url}.`, code: "FORBIDDEN" },
      }
    : undefined;
}

/**
 * The path of a request as the plane's router reads it: escapes are letters there. Undefined for one that a URL parser on
 * the way would make another of (`..`, `.`, `\\`, `//`): what was allowed must be what arrives.
 */
export function readPath(url: string): string | undefined {
  const [raw = ""] = url.split(/[?#]/, 1);
  const [root, ...parts] = raw.replace(/\/$/, "").split("/").map(decode);
  const isPlain = root === "" && !raw.includes("\\") && parts.every((part) => !MOVING_PARTS.has(part));
  return isPlain ? `/${parts.join("/")}` : undefined;
}

const MOVING_PARTS: ReadonlySet<string | undefined> = new Set([undefined, "", ".", ".."]);

function decode(part: string): string | undefined {
  try {
    return decodeURIComponent(part).replaceAll("/", "%2F");
  } catch {
    return undefined;
  }
}
