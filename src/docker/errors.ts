import { TransientError, UserError } from "../shared/errors.ts";

/** What dockerode throws when the engine answered with an error status. */
interface EngineAnswer extends Error {
  statusCode: number;
  json?: unknown;
}

function isEngineAnswer(error: unknown): error is EngineAnswer {
  return error instanceof Error && "statusCode" in error && typeof error.statusCode === "number";
}

/** The engine's HTTP status, or undefined when the engine did not answer at all. */
export function engineStatus(error: unknown): number | undefined {
  return isEngineAnswer(error) ? error.statusCode : undefined;
}

/** The engine's own sentence, without dockerode's `(HTTP code 404) no such image -` around it. */
export function engineText(error: unknown): string {
  if (!(error instanceof Error)) {
    return String(error);
  }
  const json = isEngineAnswer(error) ? error.json : undefined;
  if (typeof json === "object" && json !== null && "message" in json && typeof json.message === "string") {
    return json.message.trim();
  }
  return error.message.replace(/^\(HTTP code \d+\) [^-]*- /, "").trim();
}

/** The operating system's code (`ENOENT`, `EACCES`, …) when the engine could not be talked to. */
export function connectionCode(error: unknown): string | undefined {
  return error instanceof Error && "code" in error && typeof error.code === "string" ? error.code : undefined;
}

/** True when no answer came because the engine is gone, restarting or unreachable: worth trying again. */
export function isEngineGone(error: unknown): boolean {
  return engineStatus(error) === undefined && connectionCode(error) !== undefined;
}

/** Podman answers 500 with "… no such container" where Docker answers 404. */
export function isMissingContainer(error: unknown): boolean {
  const status = engineStatus(error);
  return status === 404 || (status === 500 && /no such container/i.test(engineText(error)));
}

/** A removal that has already begun: 409 "removal of container … is already in progress". */
export function isRemovalInProgress(error: unknown): boolean {
  return engineStatus(error) === 409 && /already in progress/i.test(engineText(error));
}

/** A forced removal that lost a race: 500 "Could not kill running container …, cannot remove - … is not running". */
export function isKillOfEnded(error: unknown): boolean {
  return engineStatus(error) === 500 && /could not kill .* is not running/i.test(engineText(error));
}

/**
 * A create refused because the name is taken, with 409 for every engine:
 * `Conflict. The container name "/x" is already in use by container "…"`.
 */
export function isNameTaken(error: unknown): boolean {
  return engineStatus(error) === 409 && /container name/i.test(engineText(error));
}

/** A create refused because the image is not here: 404 `No such image: x:1`. Networks and volumes are 404 too. */
export function isMissingImage(error: unknown): boolean {
  return engineStatus(error) === 404 && /no such image/i.test(engineText(error));
}

const DISK_FULL = /no space left on device|disk quota exceeded/i;

/** Turns what the engine said when a container was to be `created` or `started` into the error to throw. */
export function containerError(doing: string, cause: unknown): UserError {
  const text = engineText(cause);
  // write /var/lib/docker/overlay2/…-init/link: no space left on device
  return DISK_FULL.test(text)
    ? diskFull(`a container was ${doing}`, text, cause)
    : new UserError("CONTAINER_REFUSED", `The container could not be ${doing}: ${text}`, {
        hint: "The engine refused what the job's variables ask for; the message above names it.",
        cause,
      });
}

type RegistryFailure = "not-found" | "login" | "refused" | "rate-limited" | "unreachable" | "disk-full" | "other";

/**
 * Registries' answers reach us only as text, most of them with status 500 or inside a stream that began with 200.
 * Seen with engine 20.10 to 28, registry 2, Docker Hub and ghcr.io.
 */
const REGISTRY_FAILURES: readonly (readonly [RegistryFailure, RegExp])[] = [
  // write /var/lib/docker/tmp/GetImageBlob1: no space left on device
  ["disk-full", DISK_FULL],
  // toomanyrequests: You have reached your pull rate limit.
  // … 429 Too Many Requests
  ["rate-limited", /toomanyrequests|too many requests|rate limit/i],
  // Get "https://r/v2/x/manifests/1": no basic auth credentials
  // unauthorized: authentication required
  // unauthorized: incorrect username or password
  ["login", /no basic auth credentials|unauthorized|authentication required|incorrect username/i],
  // error parsing HTTP 403 response body: …
  // denied: requested access to the resource is denied (as the whole answer of a push)
  // failed to authorize: failed to fetch anonymous token: … 403 Forbidden
  ["refused", /forbidden/i],
  // manifest for x:1 not found: manifest unknown: manifest unknown
  // pull access denied for x, repository does not exist or may require 'docker login': denied: …
  // repository x not found: does not exist or no pull access
  // name unknown: repository name not known to registry
  // failed to resolve reference "r/x:1": r/x:1: not found
  ["not-found", /manifest unknown|not found|does not exist|name unknown|no such image/i],
  ["refused", /denied/i],
  // Get "https://r/v2/": dial tcp: lookup r: no such host
  // … connect: connection refused
  // net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)
  // … i/o timeout, EOF, connection reset by peer, TLS handshake timeout
  // received unexpected HTTP status: 503 Service Unavailable
  [
    "unreachable",
    /no such host|connection refused|timeout|timed out|request canceled|\bEOF\b|connection reset|HTTP status: 5\d\d|network is unreachable|no route to host|server misbehaving/i,
  ],
];

function classifyRegistryFailure(text: string): RegistryFailure {
  return REGISTRY_FAILURES.find(([, pattern]) => pattern.test(text))?.[0] ?? "other";
}

/** Turns what the engine said about a pull into the error to throw. */
export function pullError(image: string, cause: unknown): UserError | TransientError {
  const text = engineText(cause);
  switch (classifyRegistryFailure(text)) {
    case "not-found":
      return new UserError("IMAGE_NOT_FOUND", `Image "${image}" could not be pulled: ${text}`, {
        hint: "Check the image's name and tag. A private image looks the same to whoever has no credentials; an image that was only built on this host needs image_pull_policy IfNotPresent or Never.",
        cause,
      });
    case "login":
    case "refused":
      return new UserError("IMAGE_PULL_REFUSED", `The registry refused to hand out image "${image}": ${text}`, {
        hint: "Run `docker login` for this registry as the worker's user, or set registry_credentials on the work pool.",
        cause,
      });
    case "rate-limited":
      return new TransientError("REGISTRY_RATE_LIMITED", `Image "${image}" could not be pulled: ${text}`, { cause });
    case "unreachable":
      return new TransientError("REGISTRY_UNREACHABLE", `Image "${image}" could not be pulled: ${text}`, { cause });
    case "disk-full":
      return diskFull(`pulling image "${image}"`, text, cause);
    case "other":
      return new UserError("IMAGE_PULL_REFUSED", `Image "${image}" could not be pulled: ${text}`, { cause });
  }
}

/** Turns what the engine said about a push into the error to throw. */
export function pushError(image: string, cause: unknown): UserError | TransientError {
  const text = engineText(cause);
  switch (classifyRegistryFailure(text)) {
    case "rate-limited":
      return new TransientError("REGISTRY_RATE_LIMITED", `Image "${image}" could not be pushed: ${text}`, { cause });
    case "unreachable":
      return new TransientError("REGISTRY_UNREACHABLE", `Image "${image}" could not be pushed: ${text}`, { cause });
    case "disk-full":
      return diskFull(`pushing image "${image}"`, text, cause);
    case "not-found":
      // An image does not exist locally with the tag: x
      if (/does not exist locally/i.test(text)) {
        return new UserError("IMAGE_NOT_FOUND", `There is no image "${image}" on this engine to push.`, { cause });
      }
      return pushRefused(image, text, cause);
    case "login":
      return loginRefused(image, text, cause);
    case "refused":
      return pushRefused(image, text, cause);
    case "other":
      return new UserError("IMAGE_PUSH_FAILED", `Image "${image}" could not be pushed: ${text}`, {
        hint: "Deploy again; if it stays, `docker push` shows the whole log.",
        cause,
      });
  }
}

/** For a registry that does not accept who asks, whatever was to be done with the image. */
export function loginRefused(image: string, text: string, cause: unknown): UserError {
  return new UserError("REGISTRY_LOGIN_REFUSED", `The registry of image "${image}" refused the login: ${text}`, {
    hint: "Run `docker login` for this registry as the user who deploys, or give the push step credentials that it accepts.",
    cause,
  });
}

/** For a registry that knows who asks and does not let them write. */
export function pushRefused(image: string, text: string, cause: unknown): UserError {
  return new UserError("IMAGE_PUSH_REFUSED", `The registry refused image "${image}": ${text}`, {
    hint: "Check that the repository exists and that the credentials (`docker login`, or the step's credentials) may write to it.",
    cause,
  });
}

/**
 * What a builder cannot do, in buildx's own words, with engine 20.10 and buildx 0.29:
 * ERROR: failed to build: Cache export is not supported for the docker driver.
 * ERROR: failed to build: Attestation is not supported for the docker driver.
 * ERROR: failed to build: Multi-platform build is not supported for the docker driver.
 * ERROR: failed to build: docker exporter does not currently support exporting manifest lists
 */
const UNFIT_BUILDER =
  /^ERROR: (?:failed to [\w ]+: )*(.* is not supported for the \S+ driver|\S+ exporter does not .*support .*?)\.?$/i;

/** Turns the last lines of buildx into the error to throw. */
export function buildxError(image: string, lines: readonly string[], code: number | null): UserError {
  const unfit = lines.map((line) => UNFIT_BUILDER.exec(line)?.[1]).find((text) => text !== undefined);
  if (unfit !== undefined) {
    return new UserError("BUILDER_UNFIT", `The builder that buildx uses cannot build image "${image}": ${unfit}.`, {
      hint: "Make one that can: docker/setup-buildx-action in a step before, or `docker buildx create --use`. The engine's own builder takes one platform, any cache-from, and cache-to: type=inline.",
    });
  }
  const failing = lines.findLast((line) => /\bERROR\b/i.test(line)) ?? `exit code ${code}`;
  const output = lines.map((line) => `    ${line}`).join("\n");
  return new UserError("IMAGE_BUILD_FAILED", `Image "${image}" could not be built: ${failing}\n${output}`, {
    hint: "Correct the Dockerfile, what it copies, or the options of buildx, and build again.",
  });
}

function diskFull(doing: string, text: string, cause: unknown): UserError {
  return new UserError("DOCKER_DISK_FULL", `The Docker engine ran out of disk space while ${doing}: ${text}`, {
    hint: "Free space where Docker keeps its data (`docker system df` shows what uses it, `docker system prune` removes what nothing uses).",
    cause,
  });
}
