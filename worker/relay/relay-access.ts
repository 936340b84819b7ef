/** What is no business of a flow: to change who works, what is deployed as a release, or who holds which run. */
const CLOSED: readonly { methods: ReadonlySet<string>; path: RegExp }[] = [
  { methods: new Set(["GET", "POST", "PATCH", "PUT", "DELETE"]), path: /^\/api\/flowyard\/(?!capabilities\/?$)/ },
  { methods: new Set(["POST", "PUT", "DELETE"]), path: /^\/api\/admin\// },
  { methods: new Set(["DELETE", "PATCH"]), path: /^\/api\/work_pools\// },
  { methods: new Set(["POST"]), path: /^\/api\/work_pools\/[^/]+\/(get_scheduled_flow_runs|workers\/heartbeat)\/?$/ },
];

export interface AccessRefusal {
  status: number;
  body: { exception_message: string; code: string };
}

/** Undefined: a run may do this. A flow may do what Prefect's client offers to flows; the worker's key is not theirs. */
export function decideAccess(method: string, path: string): AccessRefusal | undefined {
  const isClosed = CLOSED.some((route) => route.methods.has(method) && route.path.test(path));
  return isClosed
    ? {
        status: 403,
        body: { exception_message: `A flow run's token may not ${method} ${path}.`, code: "FORBIDDEN" },
      }
    : undefined;
}
