import type { Change, FieldChange, ReleaseImage, ReleaseScope } from "../flowyard-api/releases.ts";
import type { Output, Style } from "./output.ts";

const SIGNS: Record<Change["action"], { sign: string; style: Style; did: string }> = {
  create: { sign: "+", style: "green", did: "created" },
  update: { sign: "~", style: "yellow", did: "updated" },
  rename: { sign: ">", style: "yellow", did: "renamed" },
  adopt: { sign: "@", style: "yellow", did: "adopted" },
  unchanged: { sign: " ", style: "dim", did: "unchanged" },
  pause: { sign: "-", style: "red", did: "paused" },
  delete: { sign: "-", style: "red", did: "deleted" },
  conflict: { sign: "!", style: "red", did: "not this release's to change" },
};

/** Every change with its fields; what stays as it is, is only counted. */
export function printChanges(output: Output, changes: readonly Change[]): void {
  for (const change of changes) {
    if (change.action === "unchanged") {
      continue;
    }
    const { sign, style } = SIGNS[change.action];
    output.line(output.paint(style, `${sign} ${change.action} ${change.deployment}${describeMore(change)}`));
    const fields = "fields" in change ? change.fields : [];
    for (const text of describeFields(fields, change.action === "create")) {
      output.line(`    ${text}`);
    }
  }
}

/** `2 to create, 1 to update, 97 unchanged`, or `nothing to do`. */
export function countChanges(changes: readonly Change[], isDone: boolean): string {
  const counts = new Map<Change["action"], number>();
  for (const { action } of changes) {
    counts.set(action, (counts.get(action) ?? 0) + 1);
  }
  const parts = [...counts].map(([action, count]) => {
    const isState = action === "unchanged" || action === "conflict";
    return isDone || isState ? `${count} ${SIGNS[action].did}` : `${count} to ${action}`;
  });
  return parts.length === 0 ? "no deployments" : parts.join(", ");
}

function describeMore(change: Change): string {
  switch (change.action) {
    case "rename":
      return ` (was ${change.from})`;
    case "adopt":
    case "conflict":
      return ` (${describeOwner(change.owner)})`;
    case "pause":
      return " (the release lacks it)";
    case "delete":
      return " (releases lack it since an earlier one)";
    case "create":
    case "update":
    case "unchanged":
      return "";
  }
}

export function describeOwner(owner: ReleaseScope | null): string {
  return owner === null
    ? "made by hand or by another tool"
    : `owned by ${owner.repository}, ${owner.project_path}, environment ${owner.environment}`;
}

/** The schema of parameters differs in dozens of places at once when a flow's signature changes: one line says it. */
const SCHEMA = "parameter_openapi_schema";

function describeFields(fields: readonly FieldChange[], isNew: boolean): string[] {
  const shown = fields.filter(({ field }) => field.split(".")[0] !== SCHEMA);
  const hasSchema = shown.length < fields.length;
  return [
    ...shown.flatMap((field) => describeField(field, isNew)),
    ...(hasSchema ? [`${SCHEMA}: ${isNew ? "read from the flow" : "changed"}`] : []),
  ];
}

function describeField({ field, before, after, next_fires, images }: FieldChange, isNew: boolean): string[] {
  const from = images ? showImage(images.before, before) : showValue(before);
  const to = images ? showImage(images.after, after) : showValue(after);
  const fires = next_fires ?? { before: [], after: [] };
  return [
    isNew ? `${field}: ${to}` : `${field}: ${from} → ${to}`,
    ...(fires.before.length > 0 && !isNew ? [`  next before: ${showTimes(fires.before)}`] : []),
    ...(fires.after.length > 0 ? [`  next${isNew ? "" : " after"}: ${showTimes(fires.after)}`] : []),
  ];
}

const SHOWN_DIGEST = 19; // sha256: and 12 digits

function showImage(image: ReleaseImage | null, value: unknown): string {
  if (image === null) {
    return showValue(value);
  }
  const parts = [
    image.tag,
    image.digest?.slice(0, SHOWN_DIGEST) ?? "no digest yet",
    image.content_hash === null ? null : `content ${image.content_hash.slice(0, 12)}`,
  ];
  return `${image.name} (${parts.filter((part) => part !== null).join(", ")})`;
}

const MAX_VALUE = 120;

function showValue(value: unknown): string {
  const text = value === null || value === undefined ? "nothing" : JSON.stringify(value);
  return text.length > MAX_VALUE ? `${text.slice(0, MAX_VALUE - 1)}…` : text;
}

function showTimes(times: readonly string[]): string {
  return times.map((time) => time.replace("T", " ").replace(/(?:\.\d+)?Z$/, "Z")).join(", ");
}
