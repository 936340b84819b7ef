import type { ReceivedEvent } from "../prefect-api/events.ts";
import type { Log } from "../prefect-api/logs.ts";

type Listener<T> = (value: T) => void;

/**
 * Tells the sockets of this process what has just been committed. Publish only from `tx.afterCommit`: a subscriber
 * must never see what a crash could take back. Listeners are called at once and must not throw.
 */
export class LiveBus {
  readonly #events = new Set<Listener<ReceivedEvent>>();
  readonly #logs = new Set<Listener<readonly Log[]>>();

  publishEvent(event: ReceivedEvent): void {
    for (const listener of this.#events) {
      listener(event);
    }
  }

  publishLogs(logs: readonly Log[]): void {
    for (const listener of this.#logs) {
      listener(logs);
    }
  }

  /** Answers how to stop. */
  subscribeToEvents(listener: Listener<ReceivedEvent>): () => void {
    this.#events.add(listener);
    return () => this.#events.delete(listener);
  }

  /** Answers how to stop. */
  subscribeToLogs(listener: Listener<readonly Log[]>): () => void {
    this.#logs.add(listener);
    return () => this.#logs.delete(listener);
  }
}
