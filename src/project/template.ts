import { fillTemplate, findByPath, type Placeholder, type Substitution } from "../prefect-api/templating.ts";

/**
 * The passes that Prefect makes over an entry and over the inputs of a step (surface §5.1, §6.2, §6.4). Each pass fills
 * its own kind of placeholder and leaves the others, so what one pass brings in can be filled by a later one.
 */

export type Environment = Readonly<Record<string, string | undefined>>;

/** `$NAME` and bare names from the environment; what is not there stays for later. */
export function fillEnvironment(template: unknown, env: Environment): unknown {
  return fillTemplate(template, ({ kind, name }): Substitution => {
    if (kind !== "environment" && kind !== "standard") {
      return "keep";
    }
    const value = env[kind === "environment" ? name.slice(1) : name];
    return value === undefined ? "keep" : { value };
  });
}

/** Bare names from the environment for the inputs of a step; what is not there drops its key. */
export function fillBareEnvironment(template: unknown, env: Environment): unknown {
  return fillTemplate(template, ({ kind, name }): Substitution => {
    const value = env[kind === "environment" ? name.slice(1) : name];
    if (kind === "environment") {
      return { value: value ?? "" };
    }
    if (kind === "block" || kind === "variable") {
      return "keep";
    }
    return value === undefined ? "missing" : { value };
  });
}

/** Outputs of steps for an entry: what is missing goes, `ctx.` stays for the worker. */
export function fillOutputs(
  template: unknown,
  outputs: Record<string, unknown>,
  env: Environment,
  onMissing: (placeholder: Placeholder) => void,
): unknown {
  return fillTemplate(template, (placeholder) => {
    const substitution = lookUpOutput(placeholder, outputs, env);
    if (placeholder.kind === "context") {
      return "keep";
    }
    if (substitution === "missing" || (substitution !== "keep" && substitution.value === undefined)) {
      onMissing(placeholder);
    }
    return placeholder.kind === "environment" && substitution === "missing" ? { value: "" } : substitution;
  });
}

/** Outputs of steps for the inputs of a later step: what is missing goes, `ctx.` names included. */
export function fillStepInputs(template: unknown, outputs: Record<string, unknown>, env: Environment): unknown {
  return fillTemplate(template, (placeholder) => {
    const substitution = lookUpOutput(placeholder, outputs, env);
    return placeholder.kind === "environment" && substitution === "missing" ? { value: "" } : substitution;
  });
}

/** Outputs and `$NAME` for pull steps: what is missing stays as it is, for the container to fill. */
export function fillPullSteps(template: unknown, outputs: Record<string, unknown>, env: Environment): unknown {
  return fillTemplate(template, (placeholder) => {
    const substitution = lookUpOutput(placeholder, outputs, env);
    return substitution === "missing" ? "keep" : substitution;
  });
}

function lookUpOutput({ kind, name }: Placeholder, outputs: Record<string, unknown>, env: Environment): Substitution {
  switch (kind) {
    case "environment": {
      const value = env[name.slice(1)];
      return value === undefined ? "missing" : { value };
    }
    case "standard":
    case "context": {
      const value = findByPath(outputs, name);
      return value === undefined ? "missing" : { value };
    }
    case "block":
    case "variable":
      return "keep";
  }
}
