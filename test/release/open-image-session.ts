import type { Engine } from "../../src/docker/engine.ts";
import {
  createImageSession,
  type ImageSession,
  type ImageSessionOptions,
} from "../../src/release/images/image-session.ts";

/** A session of images of a folder that is in no repository, without stored credentials. */
export function openImageSession(
  findEngine: () => Promise<Engine>,
  said: string[] = [],
  change: Partial<ImageSessionOptions> = {},
): ImageSession {
  const say = (text: string) => {
    said.push(text);
  };
  return createImageSession({
    findEngine,
    registry: { configDir: "/nonexistent", signal: new AbortController().signal },
    env: {},
    findOrigin: () => Promise.resolve({ source: undefined, revision: undefined, created: undefined }),
    pushAll: false,
    limit: 2,
    defaults: {},
    write: say,
    notice: say,
    progress: say,
    ...change,
  });
}
