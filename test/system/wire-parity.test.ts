import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { setTimeout as delay } from "node:timers/promises";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { type PlaneProcess, startPlane } from "../support/plane-process.ts";
import { type PrefectServer, startPrefectServer } from "../support/prefect-server.ts";
import { listDifferences, pairIds, Side } from "./parity/compare.ts";
import { deploymentSteps, flowSteps, scheduleSteps } from "./parity/deployments.ts";
import { flowRunSteps, pollSteps, readRunSteps, removeSteps } from "./parity/flow-runs.ts";
import { describeLifecycle, isReviewedEvent, listLifecycle, listMissing } from "./parity/lifecycle.ts";
import { bulkSteps, filterSteps, listedSteps, listSteps } from "./parity/lists.ts";
import { poolSteps, queueSteps, serverSteps, workerSteps } from "./parity/pools.ts";
import {
  artifactSteps,
  automationSteps,
  blockSteps,
  eventSteps,
  limitSteps,
  taskRunSteps,
  variableSteps,
} from "./parity/rest.ts";
import { REVIEWED } from "./parity/reviewed-differences.ts";
import { listLeftOut, listOurRoutes, listTheirRoutes } from "./parity/routes.ts";
import { playSocket, plays } from "./parity/sockets.ts";
import { stateSteps } from "./parity/states.ts";
import type { Step } from "./parity/step.ts";
import { isReviewedKind, listWrongKinds } from "./parity/wrong-kinds.ts";

/** Prefect keeps events for up to five seconds before it writes them. */
const FLUSH_MS = 6000;

const { prefect } = await loadMachine();

/** In this order: later ones use what earlier ones made. */
const chapters: [subject: string, steps: Step[]][] = [
  ["the server itself", serverSteps],
  ["work pools", poolSteps],
  ["work queues", queueSteps],
  ["workers", workerSteps],
  ["flows", flowSteps],
  ["deployments", deploymentSteps],
  ["schedules", scheduleSteps],
  ["flow runs", flowRunSteps],
  ["due runs", pollSteps],
  ["states", stateSteps],
  ["lists of runs and logs", readRunSteps],
  ["task runs", taskRunSteps],
  ["variables", variableSteps],
  ["concurrency limits", limitSteps],
  ["automations", automationSteps],
  ["blocks", blockSteps],
  ["artifacts", artifactSteps],
  ["events", eventSteps],
  ["runs to be listed", listedSteps],
  ["filters", filterSteps],
  ["orders, pages and histories", listSteps],
  ["changes in bulk", bulkSteps],
];

describe("the plane answers as Prefect's own server", { skip: prefect.available ? false : prefect.reason }, () => {
  let theirs: PrefectServer;
  let ours: PlaneProcess;
  let their: Side;
  let our: Side;
  const startedAt = new Date().toISOString();
  let same = 0;
  let total = 0;
  let reviewed = Object.keys(REVIEWED).length;

  before(async () => {
    assert.ok(prefect.available);
    // Loops of neither: what happens by itself happens at times of its own.
    [theirs, ours] = await Promise.all([startPrefectServer(prefect.prefect), startPlane({}, ["--no-loops"])]);
    their = new Side(theirs.apiUrl);
    our = new Side(ours.apiUrl);
  });

  after(async () => {
    process.stdout.write(`  ${same} of ${total} answers equal, ${reviewed} reviewed\n`);
    await Promise.all([theirs[Symbol.asyncDispose](), ours[Symbol.asyncDispose]()]);
  });

  function compareSteps(subject: string, steps: readonly Step[]): void {
    test(`about ${subject}`, async () => {
      const unexpected: string[] = [];
      for (const step of steps) {
        const [theirAnswer, ourAnswer] = await Promise.all([their.send(step), our.send(step)]);
        pairIds({ side: their, value: theirAnswer.body }, { side: our, value: ourAnswer.body });
        const differences = listDifferences(
          their.normalize(theirAnswer, step.view),
          our.normalize(ourAnswer, step.view),
        );
        total += 1;
        same += differences.length === 0 ? 1 : 0;
        if (differences.length > 0 !== step.name in REVIEWED) {
          const what = differences.length === 0 ? ["reviewed as different, but equal"] : differences;
          unexpected.push(`${step.name} (${step.method} ${step.path})`, ...what.map((line) => `    ${line}`));
        }
      }
      assert.deepEqual(unexpected, []);
    });
  }

  test("with names that are unique for each method, and reviews of one step each", () => {
    const steps = [...chapters.flatMap(([, chapter]) => chapter), ...removeSteps];
    const stepsNamed = (reviewed: string) => steps.filter(({ name }) => name === reviewed).length;

    assert.equal(new Set(steps.map(({ name, method }) => `${method} ${name}`)).size, steps.length);
    assert.deepEqual(
      Object.keys(REVIEWED).filter((name) => stepsNamed(name) !== 1),
      [],
    );
  });

  test("with every route but those that docs/prefect-api.md names", async () => {
    const [theirRoutes, ourRoutes] = [await listTheirRoutes(theirs.apiUrl), await listOurRoutes()];

    assert.ok(theirRoutes.length > 0);
    assert.deepEqual(theirRoutes.filter((route) => !ourRoutes.has(route)).sort(), (await listLeftOut()).sort());
  });

  for (const [subject, steps] of chapters) {
    compareSteps(subject, steps);
  }

  test("about values of every kind in every key, by their status", async () => {
    const unexpected: string[] = [];
    for (const { step, value } of listWrongKinds()) {
      const [theirAnswer, ourAnswer] = await Promise.all([their.send(step), our.send(step)]);
      total += 1;
      same += theirAnswer.status === ourAnswer.status ? 1 : 0;
      if (theirAnswer.status !== ourAnswer.status) {
        reviewed += 1;
        if (!isReviewedKind(theirAnswer.status, ourAnswer.status, value)) {
          unexpected.push(`${step.path} ${step.name}: theirs ${theirAnswer.status}, ours ${ourAnswer.status}`);
        }
      }
    }
    assert.deepEqual(unexpected, []);
  });

  test("on its sockets", async () => {
    for (const play of plays) {
      const [theirSight, ourSight] = await Promise.all([
        playSocket(theirs.apiUrl, play),
        playSocket(ours.apiUrl, play),
      ]);
      total += 1;
      same += theirSight === ourSight ? 1 : 0;
      assert.equal(ourSight, theirSight, play.name);
    }
  });

  compareSteps("removals", removeSteps);

  test("in the events of what was made, changed and removed", async () => {
    const ourEvents = await listLifecycle(ours.apiUrl, startedAt);
    // Theirs writes events some seconds later.
    await delay(FLUSH_MS);
    const theirEvents = await listLifecycle(theirs.apiUrl, startedAt);
    const [ourLines, theirLines] = [describeLifecycle(our, ourEvents), describeLifecycle(their, theirEvents)];
    const unexpected = [
      ...listMissing(theirLines, ourLines).map((line) => `theirs ${line}`),
      ...listMissing(ourLines, theirLines).map((line) => `ours ${line}`),
    ].filter((line) => !isReviewedEvent(line));
    process.stdout.write(`  ${theirLines.length} events of theirs, ${ourLines.length} of ours\n`);
    assert.deepEqual(unexpected, []);
  });
});
