/** Every output of the action. `action.yml` and docs/action.md are held equal to it by a contract test. */
export const OUTPUTS = {
  result: "How the step ended: succeeded, unchanged, ignored, refused, failed or cancelled.",
  decision:
    "What it set out to do: deploy, plan, run, drift, rollback, remove, ignore, or none when it did not get that far.",
  "reason-code": "Why, as a code; docs/reason-codes.md and docs/errors.md list all of them.",
  message: "The same as a sentence.",
  "next-step": "What to do about it; empty when nothing is to be done.",
  changed: "Whether the deploy, plan, drift, rollback or removal has changes: true or false.",
  "release-id": "Id of the release that is live now; of several project files one each, with commas.",
  "plan-hash": "Names exactly what the plan would change; of several project files one each, with commas.",
  plan: "The plans as a JSON array, one for each project file, or the path of a file with it when it is large.",
  deployments: "JSON object: flow/name → id of each deployment that is registered.",
  images: "JSON object: name of each image → its digest, null where it is not pushed.",
  "flow-run-id": "Id of the flow run that was started.",
  "flow-run-state": "State type that the flow run ended in, such as COMPLETED, or was last seen in.",
  "flow-run-url": "Page of the flow run.",
  "duration-ms": "How long the step took.",
} as const;

export type OutputName = keyof typeof OUTPUTS;
export type Outputs = { [Name in OutputName]?: string };
