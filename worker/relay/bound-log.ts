import { copyFileSync, statSync, truncateSync } from "node:fs";
import { join } from "node:path";

const MAX_BYTES = 8 * 1024 * 1024;

/** Where a relay writes its log that a worker has started. */
export function relayLogPath(folder: string): string {
  return join(folder, "relay.log");
}

/**
 * Begins the log anew when it has grown large, and keeps the one before. Emptied, not replaced: the relay has it open as
 * its output, which every write is added to the end of. Throws nothing: a log that cannot be looked after is no reason to
 * end.
 */
export function boundLog(folder: string, maxBytes = MAX_BYTES): void {
  const path = relayLogPath(folder);
  try {
    if (statSync(path).size > maxBytes) {
      copyFileSync(path, `${path}.1`);
      truncateSync(path);
    }
  } catch {
    // None, as when a service has started the relay.
  }
}
