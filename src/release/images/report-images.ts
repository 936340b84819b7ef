import { listTags, type PlannedImage } from "./planned-image.ts";

/** What happened to one distinct image, for people and reports. */
export interface ImageReport {
  /** `name:tag` of all its names. */
  tags: string[];
  /** Name → digest in its registry; null for a name that stays on the engine or is not pushed yet. */
  digests: Record<string, string | null>;
  content_hash: string | null;
  /** `planned`: to be built. */
  outcome: PlannedImage["outcome"];
  build_seconds: number | null;
  size_bytes: number | null;
}

export function reportImages(images: readonly PlannedImage[]): ImageReport[] {
  return images.map((image) => ({
    tags: listTags(image),
    digests: Object.fromEntries([...image.names.values()].map(({ name, digest }) => [name, digest])),
    content_hash: image.contentHash,
    outcome: image.outcome,
    build_seconds: image.buildSeconds,
    size_bytes: image.sizeBytes,
  }));
}
