import { z } from "zod";
import { pushImage } from "../../docker/push.ts";
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

/** Pushes the tag and the additional ones. Throws IMAGE_PUSH_REFUSED, IMAGE_NOT_FOUND, REGISTRY_UNREACHABLE. */
export const pushDockerImage = defineStep(
  Inputs,
  async (inputs, context) => {
    const imageName = buildImageName(inputs.image_name, context.env);
    const tag = String(inputs.tag ?? "latest");
    const additionalTags = (inputs.additional_tags ?? []).map(String);
    const credentials = readCredentials(inputs, imageName);
    const engine = await context.findEngine();
    for (const each of [tag, ...additionalTags]) {
      const image = `${imageName}:${each}`;
      context.write(`Pushing ${image}\n`);
      const { digest } = await pushImage(engine, { image, credentials, signal: context.signal });
      context.write(`Pushed ${image} as ${digest}\n`);
    }
    return {
      outputs: { image_name: imageName, tag, image: `${imageName}:${tag}`, additional_tags: additionalTags },
    };
  },
  { cached: true },
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
