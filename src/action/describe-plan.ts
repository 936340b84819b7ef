import type { Change, FieldChange, Plan, ReleaseImage } from "../flowyard-api/releases.ts";
import { code, prose, table } from "../github/markdown.ts";

type Action = Change["action"];

const MARKS: Readonly<Record<Action, string>> = {
  conflict: "⛔ conflict",
  delete: "🗑️ delete",
  pause: "⏸️ pause",
  adopt: "🤝 adopt",
  rename: "✏️ rename",
  create: "➕ create",
  update: "🔄 update",
  unchanged: "unchanged",
};
/** What needs a look comes first. */
const ORDER: readonly Action[] = ["conflict", "delete", "pause", "adopt", "rename", "create", "update", "unchanged"];
const MAX_VALUE_CHARACTERS = 400;

export function hasChanges(plan: Pick<Plan, "changes">): boolean {
  return plan.changes.some(({ action }) => action !== "unchanged");
}

/** `2 to create, 1 to update, 5 unchanged` */
export function countChanges(changes: readonly Change[]): string {
  const parts = ORDER.flatMap((action) => {
    const count = changes.filter((change) => change.action === action).length;
    const said = action === "unchanged" ? "unchanged" : `to ${action}`;
    return count === 0 ? [] : [action === "conflict" ? `${count} in conflict` : `${count} ${said}`];
  });
  return parts.length === 0 ? "no deployments" : parts.join(", ");
}

const DONE: Readonly<Record<Action, string>> = {
  conflict: "in conflict",
  delete: "deleted",
  pause: "paused",
  adopt: "adopted",
  rename: "renamed",
  create: "created",
  update: "updated",
  unchanged: "unchanged",
};

/** `2 created, 1 updated, 5 unchanged` */
export function countDone(changes: readonly Change[]): string {
  return ORDER.flatMap((action) => {
    const count = changes.filter((change) => change.action === action).length;
    return count === 0 ? [] : [`${count} ${DONE[action]}`];
  }).join(", ");
}

/** The plan as Markdown blocks, most important first, so that a report can end where its space does. */
export function describePlan(plan: Plan): string[] {
  const blocks = plan.refusal === null ? [] : [`⛔ **Would be refused:** ${prose(plan.refusal.message)}`];
  for (const action of ORDER) {
    if (action === "unchanged") {
      continue;
    }
    for (const change of plan.changes.filter((each) => each.action === action)) {
      blocks.push(describeChange(change));
    }
  }
  const unchanged = plan.changes.filter(({ action }) => action === "unchanged");
  if (unchanged.length > 0) {
    const names = unchanged.map(({ deployment }) => code(deployment)).join(", ");
    blocks.push(`<details><summary>${unchanged.length} unchanged</summary>\n\n${names}\n\n</details>`);
  }
  return blocks;
}

function describeChange(change: Change): string {
  const head = `**${MARKS[change.action]}** ${code(change.deployment)}`;
  switch (change.action) {
    case "create":
      return describeFields(head, change.fields, false);
    case "update":
      return describeFields(head, change.fields, true);
    case "rename":
      return describeFields(`${head} (was ${code(change.from)}; id and history stay)`, change.fields, true);
    case "adopt":
      return describeFields(`${head} (${describeOwner(change.owner)})`, change.fields, true);
    case "conflict":
      return `${head}: ${describeOwner(change.owner)}. Say ${code("adopt: true")} to take it over.`;
    case "pause":
      return `${head}: no longer in the project; its schedules stop, nothing is deleted.`;
    case "delete":
      return `${head}: no longer in the project, and paused by an earlier release.`;
    case "unchanged":
      return head;
    default:
      return change satisfies never;
  }
}

function describeOwner(owner: { repository: string; project_path: string; environment: string } | null): string {
  return owner === null
    ? "made by hand"
    : `owned by ${code(owner.repository)}, ${code(owner.project_path)}, ${code(owner.environment)}`;
}

function describeFields(head: string, fields: readonly FieldChange[], hasBefore: boolean): string {
  const shown = hasBefore ? fields : fields.filter(({ after }) => !isEmpty(after));
  if (shown.length === 0) {
    return head;
  }
  const rows = shown.map((field) => [
    code(field.field),
    ...(hasBefore ? [describeValue(field, "before")] : []),
    describeValue(field, "after"),
  ]);
  const titles = hasBefore ? ["field", "before", "after"] : ["field", "value"];
  const names = [...new Set(shown.map(({ field }) => field.split(".")[0] ?? field))].map((name) => code(name));
  const label = hasBefore ? "before and after" : "values";
  return `${head}: ${names.join(", ")}\n<details><summary>${label}</summary>\n\n${table(titles, rows)}\n\n</details>`;
}

function isEmpty(value: unknown): boolean {
  return (
    value === null ||
    value === undefined ||
    value === "" ||
    (Array.isArray(value) && value.length === 0) ||
    (typeof value === "object" && Object.keys(value).length === 0)
  );
}

function describeValue(field: FieldChange, side: "before" | "after"): string {
  const image = field.images?.[side];
  if (image !== null && image !== undefined) {
    return describeImage(image);
  }
  const fires = field.next_fires?.[side];
  const value = field[side];
  const text = value === undefined || value === null ? "–" : code(shortenValue(value));
  if (fires === undefined || fires.length === 0) {
    return text;
  }
  return `${text}<br>next: ${fires.map((time) => code(showTime(time))).join(", ")}`;
}

function shortenValue(value: unknown): string {
  const text = typeof value === "string" ? value : (JSON.stringify(value) ?? "");
  return text.length <= MAX_VALUE_CHARACTERS ? text : `${text.slice(0, MAX_VALUE_CHARACTERS)}…`;
}

/** `2026-11-24 06:00 UTC` */
function showTime(timestamp: string): string {
  return `${timestamp.slice(0, 10)} ${timestamp.slice(11, 16)} UTC`;
}

export function describeImage({ name, tag, digest, content_hash }: ReleaseImage): string {
  const known = digest === null ? "digest known after the build" : shortenDigest(digest);
  const content = content_hash === null ? "" : `, content ${shortenDigest(content_hash)}`;
  return `${code(tag === null ? name : `${name}:${tag}`)} (${known}${content})`;
}

function shortenDigest(digest: string): string {
  return code(digest.replace(/^sha256:/, "").slice(0, 12));
}

/** The plan for the log, a line each. */
export function listPlanLines(plan: Plan): string[] {
  return plan.changes
    .filter(({ action }) => action !== "unchanged")
    .map((change) => {
      const fields = "fields" in change ? change.fields.map(({ field }) => field) : [];
      return `  ${change.action} ${change.deployment}${fields.length === 0 ? "" : `: ${fields.join(", ")}`}`;
    });
}
