import { z } from "zod";

/**
 * What a worker tells about the image of a run that it starts: an event of this name about the resource
 * `prefect.flow-run.<id>`. The last one since the run was taken counts.
 */
export const IMAGE_PULL_EVENT = "flowyard.flow-run.image-pull";

export const ImagePull = z.object({
  image: z.string(),
  /** `failing`: a try has failed, and another one follows. */
  status: z.enum(["pulling", "failing", "pulled"]),
  /** Of this try, from 1. */
  attempt: z.number().int().positive(),
  /** Of ours, such as REGISTRY_UNREACHABLE. */
  code: z.string().nullish(),
  reason: z.string().nullish(),
});
export type ImagePull = z.infer<typeof ImagePull>;
