interface WaitOptions {
  timeoutMs: number;
  /** What is waited for, for the message. */
  what: string;
  /** Shown when the time is up. */
  evidence?: () => string;
  pollMs?: number;
}

/** For the places where two real processes meet: polls until `isDone`, throws with evidence when the time is up. */
export async function waitUntil(isDone: () => Promise<boolean>, options: WaitOptions): Promise<void> {
  const endAt = Date.now() + options.timeoutMs;
  while (!(await isDone())) {
    if (Date.now() > endAt) {
      throw new Error(`waited ${options.timeoutMs} ms in vain for ${options.what}\n${options.evidence?.() ?? ""}`);
    }
    await new Promise((resolve) => setTimeout(resolve, options.pollMs ?? 100));
  }
}
