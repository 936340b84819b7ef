import type { PlaneProxy } from "../../support/plane-proxy.ts";
import type { Stage } from "../worker-kill/stage.ts";
import { pick } from "./draw.ts";
import type { KeptProcess } from "./kept-process.ts";
import type { MovedClock } from "./moved-clock.ts";

/** Every kill is SIGKILL. The last three are the network between the plane and all others. */
export const STRIKES = [
  "worker",
  "both workers",
  "plane",
  "relay",
  "plane and workers",
  "relay and workers",
  "everything",
  "connections cut",
  "answers lost",
  "network silent",
] as const;
/** Where plane and workers have clocks of their own. */
export const CLOCK_STRIKES = ["plane's clock moved", "workers' clock moved"] as const;
export type Strike = (typeof STRIKES)[number] | (typeof CLOCK_STRIKES)[number];

/** How long what was killed stays away, or the network broken. */
const MAX_AWAY_MS = 1500;
/** Longer than a claim lasts, and so short that a run made in that future is waited for. */
const MIN_MOVE_SECONDS = 35;
const MAX_MOVE_SECONDS = 60;
/** For a relay that was just killed, and for somebody who asks while the network is broken. */
const PATIENCE_MS = 10_000;

interface Struck {
  stage: Pick<Stage, "plane" | "killRelay">;
  proxy: PlaneProxy;
  workers: readonly KeptProcess[];
  clocks?: { plane: MovedClock; workers: MovedClock } | undefined;
}

/** Strikes, waits a random while, and brings everything back. False when there was nothing left to strike. */
export async function strike(struck: Struck, what: Strike, draw: () => number): Promise<boolean> {
  const away = () => new Promise((resolve) => setTimeout(resolve, draw() * MAX_AWAY_MS));
  const { stage, workers } = struck;
  const kills: (() => Promise<unknown>)[] = [];
  const worker = pick(draw, workers);
  switch (what) {
    case "worker":
      return await withKilled([() => worker.kill()], away, struck);
    case "both workers":
      return await withKilled(
        workers.map((each) => () => each.kill()),
        away,
        struck,
      );
    case "plane":
      return await withKilled([() => stage.plane.kill()], away, struck);
    case "relay":
      return await becomes(() => stage.killRelay());
    case "plane and workers":
      kills.push(() => stage.plane.kill(), ...workers.map((each) => () => each.kill()));
      return await withKilled(kills, away, struck);
    case "relay and workers":
      kills.push(() => stage.killRelay(), ...workers.map((each) => () => each.kill()));
      return await withKilled(kills, away, struck);
    case "everything":
      kills.push(
        () => stage.plane.kill(),
        () => stage.killRelay(),
        ...workers.map((each) => () => each.kill()),
      );
      return await withKilled(kills, away, struck);
    case "plane's clock moved":
      return await withMovedClock(struck.clocks?.plane, draw, away);
    case "workers' clock moved":
      return await withMovedClock(struck.clocks?.workers, draw, away);
    case "connections cut":
      return await withNetwork(struck.proxy, () => "cut before", away);
    case "answers lost":
      return await withNetwork(struck.proxy, () => "cut after", away);
    case "network silent": {
      const over = Promise.withResolvers<"cut before">();
      return await withNetwork(
        struck.proxy,
        () => over.promise,
        async () => {
          await away();
          over.resolve("cut before");
        },
      );
    }
  }
}

async function withKilled(
  kills: readonly (() => Promise<unknown>)[],
  away: () => Promise<unknown>,
  { stage, workers }: Struck,
): Promise<boolean> {
  const killed = await Promise.all(kills.map((kill) => kill()));
  await away();
  // In no fixed order, as nobody starts a plane for the sake of its workers.
  for (const worker of workers) {
    worker.start();
  }
  if (stage.plane.process.child.signalCode !== null) {
    await stage.plane.start();
  }
  return killed.some((wasAlive) => wasAlive !== false);
}

async function withNetwork(
  proxy: PlaneProxy,
  decide: PlaneProxy["decide"],
  away: () => Promise<unknown>,
): Promise<boolean> {
  const asked = proxy.requests.length;
  proxy.decide = decide;
  proxy.cut();
  const hasStruck = await becomes(async () => proxy.requests.length > asked);
  await away();
  proxy.decide = () => "pass";
  proxy.cut();
  return hasStruck;
}

/** Ahead or back, and right again. */
async function withMovedClock(
  clock: MovedClock | undefined,
  draw: () => number,
  away: () => Promise<unknown>,
): Promise<boolean> {
  const seconds = MIN_MOVE_SECONDS + draw() * (MAX_MOVE_SECONDS - MIN_MOVE_SECONDS);
  await clock?.moveTo(draw() < 0.5 ? seconds : -seconds);
  await away();
  await clock?.moveTo(0);
  return clock !== undefined;
}

async function becomes(isSo: () => Promise<boolean>): Promise<boolean> {
  const endAt = Date.now() + PATIENCE_MS;
  while (!(await isSo())) {
    if (Date.now() > endAt) {
      return false;
    }
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
  return true;
}
