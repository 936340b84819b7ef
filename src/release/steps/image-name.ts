import type { Environment } from "../../project/template.ts";
import { UserError } from "../../shared/errors.ts";

/** The image's name with its registry or user; a bare name gets the namespace that the environment sets for builds. */
export function buildImageName(name: string, env: Environment): string {
  if (/\s/.test(name)) {
    throw new UserError("STEP_FAILED", `image_name is ${JSON.stringify(name)}, but an image name has no blanks.`);
  }
  const namespace = env["PREFECT_DEFAULT_DOCKER_BUILD_NAMESPACE"];
  return name.includes("/") || !namespace ? name : `${namespace}/${name}`;
}
