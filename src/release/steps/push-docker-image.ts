import { z } from "zod";
import { findRegistry, type RegistryCredentials } from "../../docker/registry-credentials.ts";
import { buildImageName } from "./image-name.ts";
import { defineStep } from "./step.ts";

const Credentials = z.looseObject({
  username: z.string().nullish(),
  password: z.string().nullish(),
  registry_url: z.string().nullish(),
});

const Inputs = z.object({
  image_name: z.string().min(1),
  tag: z.union([z.string(), z.number()]).nullish(),
  credentials: Credentials.nullish(),
  additional_tags: z.array(z.union([z.string(), z.number()])).nullish(),
  ignore_cache: z.boolean().default(false),
  build_backend: z.enum(["docker-py", "buildx"]).default("docker-py"),
});
type Inputs = z.infer<typeof Inputs>;

/**
 * Has the tag and the additional ones pushed. The session throws REGISTRY_LOGIN_REFUSED, IMAGE_PUSH_REFUSED,
 * IMAGE_PUSH_FAILED, IMAGE_NOT_FOUND, REGISTRY_UNREACHABLE.
 */
export const pushDockerImage = defineStep(
  Inputs,
  async (inputs, context) => {
    const name = buildImageName(inputs.image_name, context.env);
    const tag = String(inputs.tag ?? "latest");
    const additionalTags = (inputs.additional_tags ?? []).map(String);
    const tags = [tag, ...additionalTags];
    const planned = context.images.planPush({ name, tags, credentials: readCredentials(inputs, name) });
    return {
      outputs: { image_name: name, tag, image: `${name}:${tag}`, additional_tags: additionalTags },
      image: { planned, name, tags },
    };
  },
  "images",
);

function readCredentials({ credentials }: Inputs, image: string): RegistryCredentials | undefined {
  if (!credentials?.username || !credentials.password) {
    return undefined;
  }
  return {
    username: credentials.username,
    password: credentials.password,
    serveraddress: credentials.registry_url ?? findRegistry(image),
  };
}
