import { readFile } from "node:fs/promises";
import { z } from "zod";
import { UserError } from "../shared/errors.ts";

const User = z.object({ login: z.string(), type: z.string().nullish() });
/** GitHub publishes no schema of the schedule event, and older runs had no repository in it. */
const Repository = z.object({ full_name: z.string(), default_branch: z.string() });
const Envelope = z.object({ sender: User.nullish(), repository: Repository.nullish() });
const PullRequest = z.object({
  number: z.number().int(),
  merged: z.boolean().nullish(),
  /** `repo` is null when the fork is gone. */
  head: z.object({ sha: z.string(), ref: z.string(), repo: z.object({ full_name: z.string() }).nullish() }),
});
/** Forged or grown beyond what GitHub sends (a dispatch carries 64 kB); 25 MB is GitHub's cap on a webhook. */
const MAX_EVENT_BYTES = 25 * 1024 * 1024;

function eventOf<Name extends string, Shape extends z.ZodRawShape>(name: Name, shape: Shape) {
  return z.object({ name: z.literal(name), payload: Envelope.extend(shape) });
}

const KnownEvent = z.discriminatedUnion("name", [
  eventOf("push", {
    ref: z.string(),
    after: z.string(),
    deleted: z.boolean().nullish(),
    head_commit: z.object({ id: z.string(), timestamp: z.string() }).nullish(),
  }),
  eventOf("pull_request", { action: z.string(), pull_request: PullRequest }),
  eventOf("pull_request_target", {}),
  eventOf("issue_comment", {}),
  eventOf("repository_dispatch", { action: z.string(), client_payload: z.unknown() }),
  eventOf("workflow_dispatch", {}),
  eventOf("schedule", {}),
  eventOf("workflow_run", {
    workflow_run: z.object({
      conclusion: z.string().nullish(),
      head_sha: z.string(),
      head_repository: z.object({ full_name: z.string() }).nullish(),
    }),
  }),
  eventOf("merge_group", {}),
]);
/** Events that the action has no use of its own for. */
const OtherEvent = z.object({ name: z.literal("other"), eventName: z.string(), payload: Envelope });

const KNOWN_NAMES: ReadonlySet<string> = new Set(KnownEvent.options.map((option) => option.shape.name.value));

/** What started the GitHub run. */
export type Event = z.infer<typeof KnownEvent> | z.infer<typeof OtherEvent>;

/** Throws UserError EVENT_INVALID. */
export async function loadEvent(eventName: string, path: string | undefined): Promise<Event> {
  if (path === undefined) {
    throw new UserError("EVENT_INVALID", "GITHUB_EVENT_PATH is not set: there is no event to read.");
  }
  let bytes: Buffer;
  try {
    bytes = await readFile(path);
  } catch (cause) {
    throw new UserError("EVENT_INVALID", "The event file that GITHUB_EVENT_PATH names cannot be read.", { cause });
  }
  if (bytes.byteLength > MAX_EVENT_BYTES) {
    throw new UserError(
      "EVENT_INVALID",
      `The event file has ${bytes.byteLength} bytes; ${MAX_EVENT_BYTES} are allowed.`,
    );
  }
  try {
    return parseEvent(eventName, JSON.parse(bytes.toString("utf8")));
  } catch (cause) {
    if (cause instanceof UserError) {
      throw cause;
    }
    throw new UserError("EVENT_INVALID", "The event file is not JSON.", { cause });
  }
}

/** Throws UserError EVENT_INVALID. */
export function parseEvent(eventName: string, payload: unknown): Event {
  const parsed = KNOWN_NAMES.has(eventName)
    ? KnownEvent.safeParse({ name: eventName, payload })
    : OtherEvent.safeParse({ name: "other", eventName, payload });
  if (!parsed.success) {
    throw new UserError(
      "EVENT_INVALID",
      `The payload of the event ${eventName} is not what GitHub sends: ${z.prettifyError(parsed.error)}`,
      { cause: parsed.error },
    );
  }
  return parsed.data;
}
