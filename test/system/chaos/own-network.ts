import { randomInt } from "node:crypto";
import { runCommand } from "../../../scripts/setup/run-command.ts";

async function runIp(...args: string[]): Promise<void> {
  const done = await runCommand("ip", args);
  if (done.code !== 0) {
    throw new Error(`ip ${args.join(" ")}: ${done.tail}`);
  }
}

/** What keeps this machine from having one; false when nothing does. */
export async function missingNetwork(): Promise<string | false> {
  if (process.platform !== "linux" || process.getuid?.() !== 0) {
    return "a network namespace of its own needs Linux and root";
  }
  const [namespaces, enter] = await Promise.all([
    runCommand("ip", ["netns", "list"]),
    runCommand("nsenter", ["--version"]),
  ]);
  return namespaces.code === 0 && enter.code === 0 ? false : "iproute2 or nsenter is missing";
}

/** A network namespace that has nothing but a loopback and one cable to the machine outside. */
export class OwnNetwork {
  /** The outside's address, as it is known inside. */
  readonly outside: string;
  /** Put before a command, it is run inside. */
  readonly enter: readonly string[];
  readonly #name: string;
  readonly #cable: string;

  private constructor(name: string, cable: string, outside: string) {
    this.#name = name;
    this.#cable = cable;
    this.outside = outside;
    this.enter = ["nsenter", `--net=/run/netns/${name}`];
  }

  static async start(): Promise<OwnNetwork> {
    const id = randomInt(0x10000).toString(16);
    const net = `10.232.${randomInt(256)}`;
    const network = new OwnNetwork(`flowyard-${id}`, `fyo${id}`, `${net}.1`);
    const inner = `fyi${id}`;
    await runIp("netns", "add", network.#name);
    await runIp("link", "add", network.#cable, "type", "veth", "peer", "name", inner, "netns", network.#name);
    await runIp("addr", "add", `${net}.1/30`, "dev", network.#cable);
    await runIp("-n", network.#name, "addr", "add", `${net}.2/30`, "dev", inner);
    await runIp("-n", network.#name, "link", "set", "lo", "up");
    await runIp("-n", network.#name, "link", "set", inner, "up");
    await network.mend();
    return network;
  }

  /** Pulls the cable: what is sent is lost without a word, on both sides. */
  cut(): Promise<void> {
    return runIp("link", "set", this.#cable, "down");
  }

  mend(): Promise<void> {
    return runIp("link", "set", this.#cable, "up");
  }

  /** The cable goes with it. */
  async remove(): Promise<void> {
    await runIp("link", "delete", this.#cable);
    await runIp("netns", "delete", this.#name);
  }
}
