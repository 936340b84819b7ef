import packageJson from "../../../../package.json" with { type: "json" };
import type { ServerStatus } from "../../../flowyard-api/status.ts";
import type { App, AppDeps } from "../../app-deps.ts";

/** Why this plane cannot do its work, in one sentence; undefined when it can. */
export async function findProblem({ store, loops }: Pick<AppDeps, "store" | "loops">): Promise<string | undefined> {
  return (await store.ping()) ? loops?.findProblem() : "Database is not available";
}

export function registerStatus(api: App, deps: AppDeps): void {
  api.get("/flowyard/status", async (): Promise<ServerStatus> => {
    const problem = await findProblem(deps);
    return {
      version: packageJson.version,
      ready: problem === undefined,
      problem: problem ?? null,
      runs_loops: deps.loops !== undefined,
      loops: deps.loops?.listStatuses() ?? [],
    };
  });
}
