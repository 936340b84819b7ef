/**
 * The images that a Dockerfile builds on, without `scratch` and its own earlier stages. Undefined when one of them is
 * put together from build arguments, so that nobody takes half a list for the whole.
 */
export function listBaseImages(dockerfileText: string): string[] | undefined {
  const stages = new Set(["scratch"]);
  const images: string[] = [];
  for (const match of dockerfileText.matchAll(/^[ \t]*FROM[ \t]+(?:--\S+[ \t]+)*(\S+)(?:[ \t]+AS[ \t]+(\S+))?/gim)) {
    const image = match[1] ?? "";
    if (image.includes("$")) {
      return undefined;
    }
    if (!stages.has(image.toLowerCase())) {
      images.push(image);
    }
    if (match[2] !== undefined) {
      stages.add(match[2].toLowerCase());
    }
  }
  return [...new Set(images)];
}
