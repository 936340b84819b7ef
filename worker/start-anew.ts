import { flushCompileCache } from "node:module";

/** In the environment of the process that takes the place of the first one: there is no third. */
const MARK = "FLOWYARD_WORKER_STARTED_ANEW";

/**
 * Sources that Node has not compiled before, as after an update, have it load its TypeScript stripper, 30 MB that it
 * never gives back. By now they are compiled and kept, so the process begins again without it: with the same id and
 * streams, so whoever watches it notices nothing. Returns where there is nothing to gain. To be called while nothing is
 * open yet.
 */
export function startAnewIfStripped(environment: Readonly<Record<string, string>>): void {
  const isKept = environment["NODE_COMPILE_CACHE"] !== undefined;
  if (environment[MARK] !== undefined || !isKept || process.platform === "win32" || !hasLoadedStripper()) {
    return;
  }
  flushCompileCache();
  const args = [process.execPath, ...process.execArgv, ...process.argv.slice(1)];
  process.execve?.(process.execPath, args, { ...environment, [MARK]: "1" });
}

function hasLoadedStripper(): boolean {
  const loaded: unknown = "moduleLoadList" in process ? process.moduleLoadList : undefined;
  return Array.isArray(loaded) && loaded.some((name) => String(name).includes("amaro"));
}
