import type { TestProcess } from "../../support/child-process.ts";

const RESTART_MS = 300;

/** A process that is started again whenever it ends by itself, as systemd or compose do, until it is closed. */
export class KeptProcess {
  readonly #launch: () => TestProcess;
  #process: TestProcess;
  #isHeldDown = false;
  readonly #all: TestProcess[] = [];

  constructor(launch: () => TestProcess) {
    this.#launch = launch;
    this.#process = this.#start();
  }

  get process(): TestProcess {
    return this.#process;
  }

  /** What it logged in all its lives; without what its runs printed. */
  get log(): string {
    return this.#all.map(({ stderr }) => stderr).join("\n");
  }

  #start(): TestProcess {
    const started = this.#launch();
    this.#all.push(started);
    started.child.once("exit", () => {
      if (!this.#isHeldDown) {
        setTimeout(() => {
          if (!this.#isHeldDown) {
            this.#process = this.#start();
          }
        }, RESTART_MS);
      }
    });
    return started;
  }

  /** SIGKILL; it stays down until `start`. False when it was down already. */
  async kill(): Promise<boolean> {
    this.#isHeldDown = true;
    const wasAlive = this.#process.child.exitCode === null && this.#process.child.signalCode === null;
    this.#process.child.kill("SIGKILL");
    await this.#process.finish(5000);
    return wasAlive;
  }

  start(): void {
    if (this.#isHeldDown) {
      this.#isHeldDown = false;
      this.#process = this.#start();
    }
  }
}
