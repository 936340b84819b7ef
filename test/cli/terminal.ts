import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { stripVTControlCharacters } from "node:util";
import { waitUntil } from "../support/wait-until.ts";

const ANSWER_TIMEOUT_MS = 20_000;

/** A program on a terminal of its own, as a person sees it. `script` of util-linux makes the terminal. */
export class Terminal {
  readonly #child: ChildProcess;
  readonly #closed: Promise<unknown>;
  #text = "";
  #readTo = 0;

  constructor(command: string, options: { cwd: string; env: Record<string, string> }) {
    const withSize = `stty cols 120 rows 40; ${command}`;
    this.#child = spawn("script", ["-qfec", withSize, "/dev/null"], { ...options, stdio: "pipe" });
    this.#child.stdout?.setEncoding("utf8").on("data", (text: string) => {
      this.#text += text;
    });
    this.#closed = once(this.#child, "close");
  }

  get text(): string {
    return stripVTControlCharacters(this.#text);
  }

  /** Waits until the pattern is printed after what was waited for before. */
  async waitFor(pattern: RegExp): Promise<void> {
    await waitUntil(
      async () => {
        const found = pattern.exec(this.text.slice(this.#readTo));
        this.#readTo += found === null ? 0 : found.index + found[0].length;
        return found !== null;
      },
      { timeoutMs: ANSWER_TIMEOUT_MS, what: String(pattern), evidence: () => this.text, pollMs: 20 },
    );
  }

  /** Types keys as they are. */
  type(keys: string): void {
    this.#child.stdin?.write(keys);
  }

  /** Waits for a question, types the answer and presses Enter. */
  async answer(question: RegExp, text: string): Promise<void> {
    await this.waitFor(question);
    // The cursor of an open question: typing before it would be typing into nothing.
    await this.waitFor(/└/);
    this.type(`${text}\r`);
  }

  async finish(): Promise<number | null> {
    await waitUntil(async () => this.#child.exitCode !== null || this.#child.signalCode !== null, {
      timeoutMs: ANSWER_TIMEOUT_MS,
      what: "the end of the program",
      evidence: () => this.text,
      pollMs: 20,
    });
    await this.#closed;
    return this.#child.exitCode;
  }

  /** Ends what is still running, as closing the window does. */
  async close(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) {
      this.#child.kill("SIGTERM");
    }
    await this.#closed;
  }
}
