import assert from "node:assert/strict";
import { test } from "node:test";
import { RefusalLog } from "../../src/server/refusal-log.ts";
import { TransientError } from "../../src/shared/errors.ts";

test("of many refused requests the log has one line at once, and one a second that counts the others", (context) => {
  context.mock.timers.enable({ apis: ["setTimeout"] });
  const lines: unknown[] = [];
  const log = { warn: (fields: Record<string, unknown>) => lines.push(fields["refused"]) };
  const refusals = new RefusalLog();
  const refuse = (times: number) => {
    for (let index = 0; index < times; index += 1) {
      refusals.note(new TransientError("SERVICE_UNAVAILABLE", "The database is away."), log);
    }
  };

  refuse(100);
  assert.deepEqual(lines, [1]);
  context.mock.timers.tick(1000);
  refuse(50);
  context.mock.timers.tick(1000);
  context.mock.timers.tick(1000);
  refuse(1);
  context.mock.timers.tick(5000);

  assert.deepEqual(lines, [1, 99, 50, 1]);
});
