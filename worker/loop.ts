import { sleep } from "../src/shared/abort.ts";
import type { Logger } from "../src/shared/logger.ts";
import { backOffMs } from "./keep-trying.ts";
import { errorFields } from "./runs/report.ts";

interface Loop {
  name: string;
  seconds: number;
  logger: Logger;
  signal: AbortSignal;
}

/**
 * Repeats a tick until the signal aborts, one at a time. A tick that throws is logged and tried again with growing
 * waits, for ever: neither a plane that is away nor a bug in one tick ends the worker.
 */
export async function repeat(loop: Loop, tick: () => Promise<void>, waitsFirst = false): Promise<void> {
  let failures = 0;
  if (waitsFirst) {
    await sleep(loop.seconds * 1000, loop.signal);
  }
  while (!loop.signal.aborted) {
    const succeeded = await tickOnce(loop, tick);
    if (succeeded && failures > 0) {
      loop.logger.info({ loop: loop.name, failures }, "Works again");
    }
    failures = succeeded ? 0 : failures + 1;
    await sleep(succeeded ? loop.seconds * 1000 : backOffMs(failures), loop.signal);
  }
}

/** False when the tick threw; that is logged. */
export async function tickOnce(loop: Pick<Loop, "name" | "logger">, tick: () => Promise<void>): Promise<boolean> {
  try {
    await tick();
    return true;
  } catch (error) {
    loop.logger.warn({ loop: loop.name, ...errorFields(error) }, "A loop's turn failed; it is tried again");
    return false;
  }
}
