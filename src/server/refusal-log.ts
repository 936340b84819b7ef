import type { TransientError } from "../shared/errors.ts";
import type { Logger } from "../shared/logger.ts";

const MESSAGE = "the database takes nothing now";
const EVERY_MS = 1000;

/** Says that requests are refused, and how many: at once, and then every second, however many ask. */
export class RefusalLog {
  #unsaid = 0;
  #window: NodeJS.Timeout | undefined;

  note(error: TransientError, log: Pick<Logger, "warn">): void {
    if (this.#window !== undefined) {
      this.#unsaid += 1;
      return;
    }
    log.warn({ err: error, refused: 1 }, MESSAGE);
    this.#wait(error, log);
  }

  #wait(error: TransientError, log: Pick<Logger, "warn">): void {
    this.#window = setTimeout(() => {
      const refused = this.#unsaid;
      this.#unsaid = 0;
      this.#window = undefined;
      if (refused > 0) {
        log.warn({ err: error, refused }, MESSAGE);
        this.#wait(error, log);
      }
    }, EVERY_MS).unref();
  }
}
