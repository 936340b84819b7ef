import { homedir, tmpdir } from "node:os";
import { join } from "node:path";
import { encodeLogin, withDockerLogins } from "../release/docker-logins.ts";
import { UserError } from "../shared/errors.ts";
import type { Step } from "./step.ts";

/** Runs the work with the inputs' registry credentials, for this step only. Throws UserError INPUT_INVALID. */
export async function withRegistryLogin<T>(step: Step, work: (step: Step) => Promise<T>): Promise<T> {
  const { registry, "registry-username": username, "registry-password": password } = step.inputs;
  if (username === undefined && password === undefined) {
    return work(step);
  }
  if (registry === undefined || username === undefined || password === undefined) {
    throw new UserError("INPUT_INVALID", "registry, registry-username and registry-password belong together.", {
      hint: "Give all three, or log in with docker/login-action in a step before.",
    });
  }
  const login = { registry, username, password };
  step.runner.mask(encodeLogin(login));
  const own = step.environment["DOCKER_CONFIG"] ?? join(step.environment["HOME"] ?? homedir(), ".docker");
  const parent = step.config.RUNNER_TEMP ?? tmpdir();
  return withDockerLogins({ own, parent }, [login], (folder) =>
    work({ ...step, environment: { ...step.environment, DOCKER_CONFIG: folder } }),
  );
}
