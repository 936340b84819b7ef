import assert from "node:assert/strict";
import { test } from "node:test";
import { createFakeInfrastructure } from "../../../worker/infrastructure/fake.ts";
import { limitStarts } from "../../../worker/infrastructure/limit-starts.ts";
import { exampleJob } from "../jobs/job-examples.ts";

const never = new AbortController().signal;
const client = { flowRuns: { setState: () => Promise.reject(new Error("no plane")) } };
const job = exampleJob({ fake: { reports: "nothing" } });

test("no more than the limit are starting, and the others get their turn, also after one that failed", async () => {
  const fake = createFakeInfrastructure(client);
  let starting = 0;
  let most = 0;
  const gates = Array.from({ length: 6 }, () => Promise.withResolvers<void>());
  let next = 0;
  const slow = limitStarts(
    {
      ...fake,
      start: async (...request) => {
        starting += 1;
        most = Math.max(most, starting);
        const index = next;
        next += 1;
        await gates[index]?.promise;
        starting -= 1;
        if (index === 1) {
          throw new Error("refused");
        }
        return await fake.start(...request);
      },
    },
    2,
  );

  const starts = gates.map(() => slow.start(job, () => undefined, never));
  const settled = Promise.allSettled(starts);
  for (const gate of gates) {
    gate.resolve();
    await new Promise(setImmediate);
  }

  assert.deepEqual((await settled).map(({ status }) => status).toSorted(), [...Array(5).fill("fulfilled"), "rejected"]);
  assert.equal(most, 2);
});

test("who does not want to start any more does not keep the turn from others", async () => {
  const fake = createFakeInfrastructure(client);
  fake.startsHang = true;
  const limited = limitStarts(fake, 1);
  const first = new AbortController();
  const hanging = limited.start(job, () => undefined, first.signal);
  const second = new AbortController();
  const leaving = limited.start(job, () => undefined, second.signal);
  const third = limited.start(job, () => undefined, never);

  second.abort();
  await assert.rejects(leaving, { name: "AbortError" });
  fake.startsHang = false;
  first.abort();
  await assert.rejects(hanging, { name: "AbortError" });

  assert.equal((await third).facts.flow_run_id, job.flowRun.id);
});
