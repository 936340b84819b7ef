import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { z } from "zod";
import { parseCron } from "../../../src/prefect-api/schedule-text/cron.ts";
import { checkRows, formatInstant, readRows } from "./read-rows.ts";

const Fires = z.union([z.string(), z.array(z.string())]);

/** The wall times after a given one, `END` where the expression has no more; or why it is refused. */
function listWalls(text: string, dayOr: boolean, after: string, count: number): string[] | string {
  const cron = parseCron(text, dayOr);
  if (typeof cron === "string") {
    return cron;
  }
  const walls: string[] = [];
  for (let wall = Date.parse(after); walls.length < count; ) {
    const next = cron.next(wall + 1);
    if (next === undefined) {
      return [...walls, "END"];
    }
    walls.push(formatInstant(next));
    wall = next;
  }
  return walls;
}

function assertRefused(text: string, reason: RegExp): void {
  const answer = parseCron(text, true);
  assert.ok(typeof answer === "string", `"${text}" was accepted`);
  assert.ok(answer.startsWith(`Invalid cron string: "${text}": `), answer);
  assert.match(answer, reason);
}

suite("cron", () => {
  test("fires as croniter does, and is refused where croniter finds no date", (t) => {
    const rows = readRows("cron-next-fires.json", z.tuple([z.string(), z.boolean(), Fires]));

    checkRows(t, rows, ([text, dayOr, fires]) => {
      const walls = listWalls(text, dayOr, "2026-11-23T12:34:56Z", 12);

      if (typeof fires === "string") {
        // A year that is over soon is no reason to refuse: it has fewer than the twelve that were asked for.
        assert.ok(typeof walls === "string" || walls.at(-1) === "END", JSON.stringify(walls));
      } else {
        assert.deepEqual(walls, fires);
      }
    });
  });

  test("fires and is refused as croniter does on random text", (t) => {
    const rows = readRows("cron-random-fires.json", z.tuple([z.string(), z.boolean(), z.string(), Fires]));

    checkRows(t, rows, ([text, dayOr, after, fires]) => {
      const walls = listWalls(text, dayOr, after, 4);

      assert.ok(typeof fires === "string" ? typeof walls === "string" : true, JSON.stringify(walls));
      if (typeof fires !== "string") {
        assert.deepEqual(walls, fires);
      }
    });
  });

  for (const [text, same, why] of [
    ["0 0 * * 3-3", "0 0 * * *", "a range from a weekday to itself is the whole week"],
    ["5/10 * * * *", "5,15,25,35,45,55 * * * *", "a start with a step goes on to the end"],
    ["0 0 *,3 * 2", "0 0 * * 2", "a star in a list wins"],
    ["0 22-2 * * *", "0 22,23,0,1,2 * * *", "a range of hours wraps around"],
    ["0 0 * nov-feb *", "0 0 * 11,12,1,2 *", "months have names and wrap around"],
    ["0 0 * * FRI-SUN", "0 0 * * 5,6,0", "weekdays have names in any case"],
    ["0 0 * * 7", "0 0 * * 0", "Sunday is 7 too"],
    ["@Weekly", "0 0 * * 0", "a word stands for an expression"],
    ["0 0 * * * 0", "0 0 * * *", "a sixth field is the second"],
    ["0 0 0,5 * * 0", "0 0 1,5 * * 0", "day 0 is day 1 when there are six fields"],
    ["0 0 1 1 * 0 *", "0 0 1 1 *", "a seventh field is the year"],
    ["0 0 ? * 1", "0 0 * * 1", "a question mark is a star"],
    ["0 0 1-31 * 1", "0 0 * * *", "every day or Monday is every day"],
    ["0 0 1-31 * */2", "0 0 * * */2", "every day counts as a star beside a star with a step"],
    ["0 0 * * *,L5", "0 0 * * L5", "the last Friday wins over a star"],
    ["0 0 13 * 5#2", "0 0 * * 5#2", "a day of month adds nothing to the second Friday"],
  ] as const) {
    test(`${text} is ${same}: ${why}`, () => {
      assert.deepEqual(
        listWalls(text, true, "2026-02-10T00:00:00Z", 60),
        listWalls(same, true, "2026-02-10T00:00:00Z", 60),
      );
    });
  }

  test("a day of month and a weekday fit either way, or both with day_or false", () => {
    assert.deepEqual(listWalls("0 0 13 * 5", true, "2026-11-01T00:00:00Z", 3), [
      "2026-11-06T00:00:00Z",
      "2026-11-13T00:00:00Z",
      "2026-11-20T00:00:00Z",
    ]);
    assert.deepEqual(listWalls("0 0 13 * 5", false, "2026-11-01T00:00:00Z", 2), [
      "2026-11-13T00:00:00Z",
      "2027-08-13T00:00:00Z",
    ]);
  });

  test("a list of days beyond the end of February does not swallow the first of March, as in croniter", () => {
    assert.deepEqual(listWalls("0 0 1,30 * *", true, "2027-02-10T00:00:00Z", 3), [
      "2027-03-01T00:00:00Z",
      "2027-03-30T00:00:00Z",
      "2027-04-01T00:00:00Z",
    ]);
  });

  test("a leap day on a weekday is found decades ahead", () => {
    assert.deepEqual(listWalls("0 0 29 2 0", false, "2088-03-01T00:00:00Z", 1), ["2128-02-29T00:00:00Z"]);
  });

  for (const [text, reason] of [
    ["60 * * * *", /minute "60" is out of range \(0 to 59\)/],
    ["0 24 * * *", /hour "24" is out of range/],
    ["0 0 0 * *", /day of month "0" is out of range \(1 to 31\)/],
    ["0 0 * 13 *", /month "13" is out of range/],
    ["0 0 * * 8", /day of week "8" is out of range/],
    ["0 0 * * 7 0", /day of week "7" is out of range/],
    ["0 0 * * * 60", /second "60" is out of range/],
    ["0 0 1 1 * 0 2100", /year "2100" is out of range/],
    ["0 0 * foo *", /month "foo" cannot be read; allowed are 1 to 12, names \(jan to dec\)/],
    ["*/0 * * * *", /minute "\*\/0" has a step of 0/],
    ["0 0 ,1 * *", /day of month "" is empty/],
    ["0 0 * * 5L", /day of week "5l" cannot be read/],
    ["0 0 15W * *", /day of month "15w" cannot be read/],
    ["0 0 * * 2#6", /number after # that is not 1 to 5/],
    ["0 0 * * 1,2#1", /day of week mixes plain weekdays with # or L/],
    ["? 0 * * *", /minute "\?": a question mark/],
    ["-5 * * * *", /minute "-5" cannot be read/],
    ["H * * * *", /Random and Hashed expressions/],
    ["R(0-10)/2 * * * *", /Random and Hashed expressions/],
    ["0 0 31 2 *", /it never fires/],
    ["0 0 31 2 1", /it never fires/],
    ["* * *", /it has 3 fields; allowed are five/],
    ["", /it has 0 fields/],
    ["@fortnightly", /no such word; allowed are @midnight/],
    [" @daily", /no such word|field/],
  ] as const) {
    test(`"${text}" is refused with the field and the reason`, () => {
      assertRefused(text, reason);
    });
  }
});
