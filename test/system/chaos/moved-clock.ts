import { readFileSync } from "node:fs";
import { writeFile } from "node:fs/promises";
import { setInterval } from "node:timers";

const LOOK_MS = 50;
const file = new URL(import.meta.url).searchParams.get("file");

// Loaded into a process by `--import` it moves what that takes for the time; its timers run as they did, as the kernel's do.
if (file !== null) {
  const RealDate = Date;
  let offsetMs = 0;
  const look = () => {
    offsetMs = Number(readFileSync(file, "utf8"));
  };
  look();
  setInterval(look, LOOK_MS).unref();
  const now = () => RealDate.now() + offsetMs;
  globalThis.Date = new Proxy(RealDate, {
    construct: (target, values, own) => Reflect.construct(target, values.length === 0 ? [now()] : values, own),
    get: (target, key) => (key === "now" ? now : Reflect.get(target, key)),
  });
}

/** A clock of one process, kept in a file. */
export class MovedClock {
  readonly #file: string;

  constructor(path: string) {
    this.#file = path;
  }

  get environment(): Record<string, string> {
    const module = new URL(import.meta.url);
    module.searchParams.set("file", this.#file);
    return { NODE_OPTIONS: `--import=${module.href}` };
  }

  moveTo(seconds: number): Promise<void> {
    return writeFile(this.#file, String(seconds * 1000));
  }
}
