import type { Step } from "./step.ts";

export interface Answer {
  status: number;
  body: unknown;
}

type Values = Record<string, unknown>;

const UUID = /[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}/gi;
/** Ids that steps make up. */
const SENT_ID = /^([0-2])\1{7}-/;
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)$/;
/** Two random words: what a run is called when nobody names it. */
const RANDOM_NAME = /^[a-z]+-[a-z]+$/;
/** Seconds that depend on when exactly a request came. */
const ELAPSED = /^(estimated_|sum_estimated_|total_run_time|time_in|delay_seconds)/;
/** Ours, beside what Prefect says: clients of Prefect's ignore keys that they do not know. */
const OUR_KEYS: ReadonlySet<string> = new Set(["code", "reason_code", "request_id"]);
/** Shorter than that is nothing: the two were asked at slightly different times. */
const INSTANT_SECONDS = 5;
const MAX_TRIES = 5;
/** Made by SQLAlchemy from a dictionary: the order of its keys is chance. */
const UNORDERED: ReadonlySet<string> = new Set(["block_schema", "block_type", "data"]);
/** Names of the alternatives of a union, which pydantic puts among the keys. */
const ALTERNATIVES: ReadonlySet<unknown> = new Set(["bool", "int", "float", "str"]);
const NEAR_NOW_MS = 10 * 60_000;
const MAX_SHOWN = 300;

/** One of the two servers, and what its answers have given so far. */
export class Side {
  readonly #apiUrl: string;
  readonly #values = new Map<string, string>();
  readonly #ids = new Map<string, string>();

  nameId(id: string, title: string): void {
    this.#ids.set(id, title);
  }

  knowsId(id: string): boolean {
    return this.#ids.has(id);
  }

  constructor(apiUrl: string) {
    this.#apiUrl = apiUrl;
  }

  async send(step: Step): Promise<Answer> {
    const { method, body, text, headers } = step;
    const payload = text ?? (body === undefined ? undefined : JSON.stringify(this.#fill(body)));
    const ask = () =>
      fetch(`${this.#apiUrl}${String(this.#fill(step.path))}`, {
        method,
        headers: { ...(body === undefined ? {} : { "content-type": "application/json" }), ...headers },
        ...(payload === undefined ? {} : { body: payload }),
      });
    // Either server may close an idle connection just when we use it again; Prefect's answers 503 when SQLite is busy.
    let response = await ask().catch(ask);
    for (let tries = 1; response.status === 503 && tries < MAX_TRIES; tries += 1) {
      response = await ask();
    }
    const answer = { status: response.status, body: sortSchedules(parse(await response.text())) };
    for (const [word, keys] of Object.entries(step.keep ?? {})) {
      this.#values.set(word, String(keys.split(".").reduce(lookUp, answer.body)));
    }
    return answer;
  }

  /** The answer without what two right servers may choose: ids by the titles they were given, instants, random names. */
  normalize(answer: Answer, view = (body: unknown) => body): Answer {
    return { status: answer.status, body: this.#normalize(view(answer.body), "") };
  }

  #normalize(value: unknown, key: string): unknown {
    if (typeof value === "string") {
      return this.#normalizeText(value, key);
    }
    if (typeof value === "number" && ELAPSED.test(key)) {
      return Math.abs(value) < INSTANT_SECONDS ? 0 : Math.sign(value);
    }
    if (Array.isArray(value)) {
      return key === "exception_detail" ? listPlaces(value) : this.#normalizeList(value, key);
    }
    const entries = isValues(value) ? Object.entries(value) : [];
    return isValues(value)
      ? Object.fromEntries(
          (UNORDERED.has(key) ? entries.sort(([one], [other]) => one.localeCompare(other)) : entries)
            .filter(([name]) => !OUR_KEYS.has(name))
            .map(([name, item]) => [name, isIdOfSchedule(name, value) ? "<schedule id>" : this.#normalize(item, name)]),
        )
      : value;
  }

  /** Tags of a run are a union of sets to Python: their order is chance there. */
  #normalizeList(list: unknown[], key: string): unknown[] {
    const items = list.map((item) => this.#normalize(item, key));
    return key === "tags" ? items.sort() : items;
  }

  #normalizeText(text: string, key: string): string {
    if (TIMESTAMP.test(text) && !Number.isNaN(Date.parse(text))) {
      return normalizeInstant(text);
    }
    if (key === "name" && RANDOM_NAME.test(text)) {
      return "<random name>";
    }
    return text.replaceAll(UUID, (id) => this.#ids.get(id) ?? (SENT_ID.test(id) ? id : "<unknown id>"));
  }

  #fill(value: unknown): unknown {
    if (typeof value === "string") {
      return value.replaceAll(/\$(\w+)/g, (whole, word: string) => this.#values.get(word) ?? whole);
    }
    if (Array.isArray(value)) {
      return value.map((item) => this.#fill(item));
    }
    return isValues(value)
      ? Object.fromEntries(Object.entries(value).map(([name, item]) => [name, this.#fill(item)]))
      : value;
  }
}

/** A schedule that says the same again keeps its id here; theirs gives it another. */
function isIdOfSchedule(key: string, owner: object): boolean {
  return key === "id" && "max_scheduled_runs" in owner;
}

/** Prefect sorts schedules by when they were changed, which within one request is chance. */
function sortSchedules(value: unknown): unknown {
  if (Array.isArray(value)) {
    const items = value.map(sortSchedules);
    return items.every((item) => isValues(item) && "max_scheduled_runs" in item)
      ? items.sort((one, other) => textOfSchedule(one).localeCompare(textOfSchedule(other)))
      : items;
  }
  return isValues(value)
    ? Object.fromEntries(Object.entries(value).map(([key, item]) => [key, sortSchedules(item)]))
    : value;
}

function textOfSchedule(item: unknown): string {
  return JSON.stringify(lookUp(item, "schedule")) ?? "";
}

/**
 * Where a body is wrong. The words are pydantic's or zod's, and of a schedule that is none pydantic says what is wrong
 * with it as each of three kinds.
 */
function listPlaces(problems: unknown[]): string[] {
  const places = problems.map((problem) => {
    const place = isValues(problem) && Array.isArray(problem["loc"]) ? problem["loc"] : [];
    const schedule = place.indexOf("schedule");
    return place
      .slice(0, schedule === -1 ? undefined : schedule + 1)
      .filter((key) => !ALTERNATIVES.has(key))
      .join(".");
  });
  return [...new Set(places)].sort();
}

let pairs = 0;

/** What stands at the same place of both answers for the first time is the same thing from then on. */
export function pairIds(theirs: { side: Side; value: unknown }, ours: { side: Side; value: unknown }): void {
  if (typeof theirs.value === "string" && typeof ours.value === "string") {
    const ourIds = ours.value.match(UUID) ?? [];
    for (const [index, theirId] of (theirs.value.match(UUID) ?? []).entries()) {
      const ourId = ourIds[index];
      if (ourId !== undefined && theirId !== ourId && !theirs.side.knowsId(theirId) && !ours.side.knowsId(ourId)) {
        pairs += 1;
        theirs.side.nameId(theirId, `<id ${pairs}>`);
        ours.side.nameId(ourId, `<id ${pairs}>`);
      }
    }
    return;
  }
  for (const [key, value] of Object.entries(isContainer(theirs.value) ? theirs.value : {})) {
    pairIds({ side: theirs.side, value }, { side: ours.side, value: lookUp(ours.value, key) });
  }
}

function isContainer(value: unknown): value is object {
  return typeof value === "object" && value !== null;
}

/** Prefect leaves out a fraction that is zero. */
function normalizeInstant(text: string): string {
  const micros = /\.(\d+)/.exec(text)?.[1]?.slice(0, 6).padEnd(6, "0") ?? "000000";
  const milliseconds = Date.parse(text);
  const near = Math.abs(milliseconds - Date.now()) < NEAR_NOW_MS;
  return near ? "<now>" : `${new Date(milliseconds).toISOString().slice(0, 19)}.${micros}`;
}

/** How two normalized answers differ, one line each: status, keys and their order, values. Empty when they do not. */
export function listDifferences(theirs: Answer, ours: Answer): string[] {
  const status = theirs.status === ours.status ? [] : [`status: theirs ${theirs.status}, ours ${ours.status}`];
  return [...status, ...differ("body", theirs.body, ours.body)];
}

function differ(place: string, theirs: unknown, ours: unknown): string[] {
  if (JSON.stringify(theirs) === JSON.stringify(ours)) {
    return [];
  }
  if (Array.isArray(theirs) && Array.isArray(ours) && theirs.length === ours.length) {
    return theirs.flatMap((item, index) => differ(`${place}[${index}]`, item, ours[index]));
  }
  if (!isValues(theirs) || !isValues(ours)) {
    return [`${place}: theirs ${show(theirs)}, ours ${show(ours)}`];
  }
  const [theirKeys, ourKeys] = [Object.keys(theirs), Object.keys(ours)];
  const keys = theirKeys.join() === ourKeys.join() ? [] : [`${place} keys: theirs ${theirKeys}, ours ${ourKeys}`];
  return [
    ...keys,
    ...theirKeys.filter((key) => key in ours).flatMap((key) => differ(`${place}.${key}`, theirs[key], ours[key])),
  ];
}

function show(value: unknown): string {
  return (JSON.stringify(value) ?? "nothing").slice(0, MAX_SHOWN);
}

function parse(text: string): unknown {
  try {
    return text === "" ? null : JSON.parse(text);
  } catch {
    return text;
  }
}

function lookUp(value: unknown, key: string): unknown {
  if (Array.isArray(value)) {
    return value[Number(key)];
  }
  return isValues(value) ? value[key] : undefined;
}

function isValues(value: unknown): value is Values {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
