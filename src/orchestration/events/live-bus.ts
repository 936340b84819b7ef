import type { ReceivedEvent } from "../../prefect-api/events.ts";
import type { Log } from "../../prefect-api/logs.ts";
import type { Tx } from "../../storage/store.ts";

type Listener<T> = (value: T) => void;
type Announcing = Pick<Tx, "afterCommit" | "announce">;

/**
 * Tells the sockets what has just been committed: announce what a transaction writes, on every plane and after the
 * commit, because a subscriber must never see what a crash could take back. Publish is for this process alone, and for
 * what is on disk. Listeners are called at once and must not throw.
 */
export class LiveBus {
  readonly #events = new Set<Listener<ReceivedEvent>>();
  readonly #logs = new Set<Listener<readonly Log[]>>();

  /** State changes of flow runs that this process has committed, by the type of the new state. */
  readonly transitions = new Map<string, number>();

  get hasEventListeners(): boolean {
    return this.#events.size > 0;
  }

  get hasLogListeners(): boolean {
    return this.#logs.size > 0;
  }

  announceEvents(tx: Announcing, events: readonly ReceivedEvent[]): void {
    tx.announce(
      "events",
      events.map(({ id }) => id),
      "other planes",
    );
    tx.afterCommit(() => {
      for (const event of events) {
        this.#countTransition(event);
        this.publishEvent(event);
      }
    });
  }

  #countTransition({ resource, payload }: ReceivedEvent): void {
    const type = resource["prefect.state-type"];
    const isFlowRun = resource["prefect.resource.id"]?.startsWith("prefect.flow-run.") === true;
    if (type !== undefined && isFlowRun && "validated_state" in payload) {
      this.transitions.set(type, (this.transitions.get(type) ?? 0) + 1);
    }
  }

  announceLogs(tx: Announcing, logs: readonly (Log & { id: string })[]): void {
    tx.announce(
      "logs",
      logs.map(({ id }) => id),
      "other planes",
    );
    tx.afterCommit(() => this.publishLogs(logs));
  }

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
