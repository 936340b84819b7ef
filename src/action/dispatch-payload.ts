import { z } from "zod";
import { UserError } from "../shared/errors.ts";

const Sha = z.string().regex(/^[0-9a-f]{40}([0-9a-f]{24})?$/, "must be a full commit SHA");
const DeploymentName = z
  .string()
  .max(1000)
  .regex(/^[^/\r\n]+\/[^/\r\n]+$/, "must be flow/name");

export const Reply = z
  .discriminatedUnion("to", [
    z.strictObject({ to: z.literal("issue"), number: z.int().positive() }),
    z.strictObject({ to: z.literal("commit"), sha: Sha, context: z.string().min(1).max(100).optional() }),
    z.strictObject({ to: z.literal("nowhere") }),
  ])
  .meta({ description: "Where the answer goes: a comment on an issue or pull request, a commit status, or nowhere." });
export type Reply = z.infer<typeof Reply>;

export const DeployPayload = z
  .strictObject({
    environment: z.string().min(1).max(100).optional().meta({ description: "Environment that is released into." }),
    deployments: z
      .array(z.string().min(1).max(1000))
      .max(2000)
      .optional()
      .meta({ description: "Deployments to take; all when left out." }),
    sha: Sha.optional().meta({ description: "Commit that has to be checked out." }),
    reply: Reply.optional(),
  })
  .meta({ description: "client_payload of the event type flowyard-deploy." });
export type DeployPayload = z.infer<typeof DeployPayload>;

export const RunPayload = z
  .strictObject({
    deployment: DeploymentName.optional().meta({
      description: "Deployment to start, flow/name. May be left out when the step's input run names one.",
    }),
    parameters: z.record(z.string(), z.unknown()).optional(),
    idempotency_key: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .meta({ description: "Two dispatches with the same key start one flow run. Default: the id of the GitHub run." }),
    wait: z.boolean().optional(),
    timeout: z.int().positive().max(432_000).optional().meta({ description: "Seconds to wait." }),
    reply: Reply.optional(),
  })
  .meta({ description: "client_payload of the event type flowyard-run." });
export type RunPayload = z.infer<typeof RunPayload>;

/** The published schema: docs/dispatch-payload.schema.json is held equal to it by a contract test. */
export function buildPayloadSchema(): unknown {
  const [deploy, run] = [DeployPayload, RunPayload].map((schema) => {
    const { $schema: _, ...rest } = z.toJSONSchema(schema);
    return rest;
  });
  return {
    $schema: "https://json-schema.org/draft/2020-12/schema",
    title: "repository_dispatch to Flowyard",
    oneOf: [
      {
        type: "object",
        required: ["event_type"],
        properties: { event_type: { const: "flowyard-deploy" }, client_payload: deploy },
      },
      {
        type: "object",
        required: ["event_type", "client_payload"],
        properties: { event_type: { const: "flowyard-run" }, client_payload: run },
      },
    ],
  };
}

const MAX_PAYLOAD_CHARACTERS = 65_535; // GitHub's own limit; a forged event file may hold more

/** Throws UserError PAYLOAD_INVALID naming every place that is wrong. */
export function parsePayload<S extends z.ZodType>(schema: S, payload: unknown): z.output<S> {
  const given = payload ?? {};
  if (JSON.stringify(given).length > MAX_PAYLOAD_CHARACTERS) {
    throw new UserError("PAYLOAD_INVALID", `The client_payload has more than ${MAX_PAYLOAD_CHARACTERS} characters.`);
  }
  const parsed = schema.safeParse(given);
  if (!parsed.success) {
    const problems = parsed.error.issues.map(
      ({ path, message }) => `  ${["client_payload", ...path].join(".")}: ${message}`,
    );
    throw new UserError("PAYLOAD_INVALID", `The client_payload of the dispatch is not valid:\n${problems.join("\n")}`, {
      hint: "docs/dispatch-payload.schema.json of Flowyard says what it may hold.",
    });
  }
  return parsed.data;
}
