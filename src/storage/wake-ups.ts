/**
 * What a loop or a long poll may wait for, and what its key is: a run of a work pool (`work pool id`) is due or may
 * become so; a slot (`id of what limits`: concurrency limit, work queue, work pool) is free; a release was applied
 * (`release id`); schedules of a deployment want other runs (`deployment id`); a pool, queue or deployment is likely to
 * have another status (`work pool id`); what a run called is to be cancelled with it (`flow run id`).
 */
export const WAKE_UP_CHANNELS = [
  "flow_run_scheduled",
  "slot_released",
  "release_applied",
  "schedule_changed",
  "status_changed",
  "flow_run_cancelled",
] as const;
export type WakeUpChannel = (typeof WAKE_UP_CHANNELS)[number];

/** `key` is null when wake-ups may have been missed: look, whatever you wait for. Must not throw. */
export type WakeUpListener = (key: string | null) => void;

export interface WakeUp {
  channel: WakeUpChannel;
  key: string;
}

/**
 * Wake-ups of this plane, and of all planes on the database. They are hints, never facts: one may come for nothing, and
 * one may be lost with the plane that sent it, so who waits also looks by the clock.
 */
export class WakeUps {
  readonly #listeners = new Map<WakeUpChannel, Set<WakeUpListener>>();

  /** Answers how to stop. Listeners are called after the commit, at once, and must not throw. */
  subscribe(channel: WakeUpChannel, listener: WakeUpListener): () => void {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  deliver(wakeUps: Iterable<WakeUp>): void {
    for (const { channel, key } of wakeUps) {
      this.#call(channel, key);
    }
  }

  /** For when some may have been missed. */
  wakeAll(): void {
    for (const channel of this.#listeners.keys()) {
      this.#call(channel, null);
    }
  }

  #call(channel: WakeUpChannel, key: string | null): void {
    for (const listener of [...(this.#listeners.get(channel) ?? [])]) {
      listener(key);
    }
  }
}
