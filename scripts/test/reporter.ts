import type { TestEvent } from "node:test/reporters";

type Ending = Extract<TestEvent, { type: "test:pass" | "test:fail" }>;

/** Starts each line that the runner reads; anything else on the output is a test's own words. */
export const RECORD_MARK = "\u0001flowyard:";
const LEAK_AFTER_MS = 5_000; // far longer than the pause between two tests on a busy machine

/**
 * A reporter for node:test that writes one record per finished test. A process that is still alive after its last test
 * holds something open: it is ended and reported, instead of hanging until somebody looks.
 */
export default async function* report(events: AsyncIterable<TestEvent>): AsyncGenerator<string> {
  let running = 0;
  let hasStarted = false;
  let leak: NodeJS.Timeout | undefined;
  for await (const event of events) {
    clearTimeout(leak);
    switch (event.type) {
      case "test:dequeue":
        hasStarted = true;
        running += 1;
        break;
      case "test:complete":
        running = Math.max(0, running - 1); // a cancelled test completes without having started
        break;
      case "test:pass":
      case "test:fail":
        if (event.data.details.type !== "suite" || isSkipped(event) || hasFailedItself(event)) {
          yield buildRecord(event);
        }
        break;
      case "test:stdout":
      case "test:stderr":
        yield event.data.message;
        break;
      default:
    }
    if (running === 0 && hasStarted) {
      leak = setTimeout(reportLeak, LEAK_AFTER_MS);
      leak.unref();
    }
  }
  clearTimeout(leak);
}

/** The tests of a skipped suite are not reported one by one, so the suite counts for them. */
function isSkipped(event: Ending): boolean {
  return event.data.skip !== undefined && event.data.skip !== false;
}

/** A suite fails with its tests, which are counted already, or because of a hook, which nothing else counts. */
function hasFailedItself(event: Ending): boolean {
  const error = event.type === "test:fail" ? event.data.details.error : undefined;
  return error !== undefined && !("failureType" in error && error.failureType === "subtestsFailed");
}

function buildRecord(event: Ending): string {
  const { name, file, line, skip, todo, details } = event.data;
  const base = { name, ...(file === undefined ? {} : { file }), ...(line === undefined ? {} : { line }) };
  if (event.type === "test:fail") {
    return formatRecord({ ...base, result: "failed", detail: describeError(details) });
  }
  if (name === file) {
    return formatRecord({ ...base, result: "failed", detail: "this file holds no test" }); // Node lets it pass
  }
  const reason = skip ?? todo;
  if (reason === undefined || reason === false) {
    return formatRecord({ ...base, result: "passed" });
  }
  return formatRecord({ ...base, result: "skipped", detail: reason === true ? "no reason given" : reason });
}

function describeError(details: object): string {
  const error = "error" in details ? details.error : undefined;
  const cause = error instanceof Error && error.cause instanceof Error ? error.cause : error;
  if (!(cause instanceof Error)) {
    return String(error);
  }
  const deeper = cause.cause instanceof Error ? `\ncaused by ${cause.cause.stack ?? cause.cause.message}` : "";
  return `${cause.stack ?? cause.message}${deeper}`;
}

function reportLeak(): void {
  const open = process.getActiveResourcesInfo().filter((kind) => !/^(TTY|Pipe)Wrap$/.test(kind));
  process.stdout.write(
    formatRecord({
      name: "everything that a test opens is closed",
      result: "failed",
      detail: `still open ${LEAK_AFTER_MS / 1000} s after the last test: ${open.join(", ") || "a pipe or a child process"}`,
    }),
    () => process.exit(1),
  );
}

function formatRecord(record: Record<string, unknown>): string {
  // JSON leaves these two as they are, and whoever reads lines ends one there.
  const text = JSON.stringify(record).replaceAll("\u2028", "\\u2028").replaceAll("\u2029", "\\u2029");
  return `${RECORD_MARK}${text}\n`;
}
