import { z } from "zod";
import { TransientError, UserError } from "../shared/errors.ts";
import { retry } from "../shared/retry.ts";
import { loginRefused, pushRefused } from "./errors.ts";
import { parseImageReference } from "./images.ts";
import { findRegistryCredentials, type RegistryCredentials } from "./registry-credentials.ts";

/** How to speak to registries without an engine in between. */
export interface RegistryAccess {
  /** Where `config.json` lies, for credentials that are not given. */
  configDir: string;
  signal: AbortSignal;
}

interface ManifestRequest {
  /** `name`, `name:tag` or `name@digest`. */
  image: string;
  /** Instead of what `docker login` stored. */
  credentials?: RegistryCredentials | undefined;
}

interface Manifest {
  digest: string;
  mediaType: string;
  body: string;
}

const MANIFEST_TYPES = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");
const REQUEST_TIMEOUT_MS = 20_000;
const RETRY = { attempts: 3, firstDelayMs: 500, maxDelayMs: 10_000 };
const RETRIED_STATUS: ReadonlySet<number> = new Set([408, 429, 500, 502, 503, 504]);

/**
 * The digest of an image as its registry has it now (HEAD of the manifest), or undefined when it has none of that name.
 * Throws REGISTRY_LOGIN_REFUSED, IMAGE_PULL_REFUSED; TransientError REGISTRY_UNREACHABLE.
 */
export async function findRegistryDigest(
  access: RegistryAccess,
  request: ManifestRequest,
): Promise<string | undefined> {
  const answer = await send(access, request, { method: "HEAD", action: "pull" });
  return answer.status === 404 ? undefined : readDigest(request.image, answer);
}

/**
 * Gives an image that is in its registry one more tag there, without pulling or pushing anything.
 * Throws IMAGE_PUSH_REFUSED and IMAGE_NOT_FOUND besides what `findRegistryDigest` throws.
 */
export async function tagInRegistry(access: RegistryAccess, request: ManifestRequest, tag: string): Promise<void> {
  const { image, credentials } = request;
  const manifest = await getManifest(access, request);
  const target = `${parseImageReference(image).name}:${tag}`;
  await send(access, { image: target, credentials }, { method: "PUT", action: "pull,push", manifest });
}

async function getManifest(access: RegistryAccess, request: ManifestRequest): Promise<Manifest> {
  const answer = await send(access, request, { method: "GET", action: "pull" });
  if (answer.status === 404) {
    throw new UserError("IMAGE_NOT_FOUND", `The registry has no image "${request.image}".`);
  }
  const mediaType = answer.headers.get("content-type") ?? "application/vnd.docker.distribution.manifest.v2+json";
  return { digest: readDigest(request.image, answer), mediaType, body: answer.text };
}

function readDigest(image: string, answer: Answer): string {
  const digest = answer.headers.get("docker-content-digest");
  if (digest === null || !/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw new TransientError("REGISTRY_UNREACHABLE", `The registry told no digest of image "${image}".`);
  }
  return digest;
}

interface Call {
  method: "HEAD" | "GET" | "PUT";
  action: "pull" | "pull,push";
  manifest?: Manifest;
}

interface Answer {
  status: number;
  headers: Headers;
  text: string;
}

/** Answers with any 2xx and with 404. */
async function send(access: RegistryAccess, request: ManifestRequest, call: Call): Promise<Answer> {
  const { image } = request;
  const credentials = request.credentials ?? (await findRegistryCredentials(access.configDir, image));
  return retry({ ...RETRY, signal: access.signal }, async () => {
    let answer = await attempt(access, image, call);
    if (answer.status === 401) {
      const authorization = await authorize(access, image, call, credentials, answer);
      answer = authorization === undefined ? answer : await attempt(access, image, call, authorization);
    }
    if ((answer.status >= 200 && answer.status < 300) || (answer.status === 404 && call.method !== "PUT")) {
      return answer;
    }
    throw describeRefusal(image, call, answer);
  });
}

function describeRefusal(image: string, call: Call, answer: Answer): UserError | TransientError {
  const text = `HTTP ${answer.status}${readReason(answer.text)}`;
  if (answer.status === 401) {
    return loginRefused(image, text, undefined);
  }
  if (RETRIED_STATUS.has(answer.status)) {
    const seconds = Number(answer.headers.get("retry-after") ?? Number.NaN);
    return new TransientError("REGISTRY_UNREACHABLE", `The registry of image "${image}" does not answer: ${text}`, {
      ...(Number.isFinite(seconds) ? { retryAfterMs: Math.min(seconds * 1000, RETRY.maxDelayMs) } : {}),
    });
  }
  if (call.method === "PUT") {
    return pushRefused(image, text, undefined);
  }
  return new UserError("IMAGE_PULL_REFUSED", `The registry refused to say what image "${image}" is: ${text}`, {
    hint: "Check the image's name, and that the credentials may read it.",
  });
}

const RegistryErrors = z.object({
  errors: z.array(z.object({ code: z.string(), message: z.string().default("") })).min(1),
});

function readReason(body: string): string {
  try {
    const { errors } = RegistryErrors.parse(JSON.parse(body));
    return `, ${errors.map(({ code, message }) => `${code}: ${message}`).join("; ")}`;
  } catch {
    return ""; // a proxy's page says nothing that helps
  }
}

/** Docker Hub's API is at another host than its images are named by, and its official images live in `library`. */
function buildManifestPath(image: string): { host: string; repository: string; path: string } {
  const { name, tag, digest } = parseImageReference(image);
  const [first = "", ...rest] = name.split("/");
  const hasHost = rest.length > 0 && (/[.:]/.test(first) || first === "localhost");
  const isHub = !hasHost || first === "docker.io" || first === "index.docker.io";
  const own = hasHost ? rest.join("/") : name;
  const repository = isHub && !own.includes("/") ? `library/${own}` : own;
  const host = isHub ? "registry-1.docker.io" : first;
  return { host, repository, path: `/v2/${repository}/manifests/${digest ?? tag ?? "latest"}` };
}

/** As Docker takes them: registries on this very machine may speak without TLS. */
function listSchemes(host: string): ("https" | "http")[] {
  return /^(?:localhost|127\.\d+\.\d+\.\d+|\[::1\])(?::\d+)?$/.test(host) ? ["http", "https"] : ["https"];
}

async function attempt(access: RegistryAccess, image: string, call: Call, authorization?: string): Promise<Answer> {
  const { host, path } = buildManifestPath(image);
  const headers: Record<string, string> = { accept: MANIFEST_TYPES };
  if (authorization !== undefined) {
    headers["authorization"] = authorization;
  }
  const { manifest } = call;
  if (manifest !== undefined) {
    headers["content-type"] = manifest.mediaType;
  }
  const init = { method: call.method, headers, ...(manifest === undefined ? {} : { body: manifest.body }) };
  const [first = "https", second] = listSchemes(host);
  try {
    return await fetchText(access, `${first}://${host}${path}`, init);
  } catch (error) {
    if (second === undefined || access.signal.aborted) {
      throw error;
    }
    return fetchText(access, `${second}://${host}${path}`, init);
  }
}

async function fetchText(access: RegistryAccess, url: string, init: RequestInit): Promise<Answer> {
  try {
    const signal = AbortSignal.any([access.signal, AbortSignal.timeout(REQUEST_TIMEOUT_MS)]);
    const response = await fetch(url, { ...init, signal });
    return { status: response.status, headers: response.headers, text: await response.text() };
  } catch (cause) {
    access.signal.throwIfAborted();
    const { host } = new URL(url);
    throw new TransientError("REGISTRY_UNREACHABLE", `The registry ${host} cannot be reached: ${deepestText(cause)}`, {
      cause,
    });
  }
}

function deepestText(thrown: unknown): string {
  if (thrown instanceof Error && thrown.cause instanceof Error) {
    return deepestText(thrown.cause);
  }
  const code = thrown instanceof Error && "code" in thrown ? String(thrown.code) : undefined;
  return (thrown instanceof Error ? thrown.message : String(thrown)) || (code ?? "no reason given");
}

const Token = z.object({ token: z.string().optional(), access_token: z.string().optional() });

/**
 * What to put into `Authorization` for the challenge of a 401 (distribution spec, "token authentication"): basic
 * credentials, or a token that the named realm gives for them. Undefined when there is nothing to offer.
 */
async function authorize(
  access: RegistryAccess,
  image: string,
  call: Call,
  credentials: RegistryCredentials | undefined,
  answer: Answer,
): Promise<string | undefined> {
  const challenge = answer.headers.get("www-authenticate") ?? "";
  const basic = credentials?.username === undefined ? undefined : buildBasic(credentials);
  if (!/^bearer\b/i.test(challenge)) {
    return basic;
  }
  const parameters = Object.fromEntries(
    [...challenge.matchAll(/(\w+)="([^"]*)"/g)].map((match) => [match[1] ?? "", match[2] ?? ""]),
  );
  const scope = `repository:${buildManifestPath(image).repository}:${call.action}`;
  const service = parameters["service"] ?? "";
  const realm = parameters["realm"] ?? "";
  if (!URL.canParse(realm)) {
    throw loginRefused(image, `it names "${realm}" for tokens, which is no address`, undefined);
  }
  const got =
    credentials?.identitytoken === undefined
      ? await fetchText(access, `${realm}?${new URLSearchParams({ service, scope })}`, {
          headers: basic === undefined ? {} : { authorization: basic },
        })
      : await fetchText(access, realm, {
          method: "POST",
          body: new URLSearchParams({
            grant_type: "refresh_token",
            client_id: "flowyard",
            refresh_token: credentials.identitytoken,
            service,
            scope,
          }),
        });
  if (got.status === 401) {
    throw loginRefused(image, `${new URL(realm).host} answered ${got.status}${readReason(got.text)}`, undefined);
  }
  if (got.status !== 200) {
    throw describeRefusal(image, call, got);
  }
  return `Bearer ${readToken(image, realm, got.text)}`;
}

function readToken(image: string, realm: string, text: string): string {
  try {
    const { token, access_token } = Token.parse(JSON.parse(text));
    return token ?? access_token ?? "";
  } catch (cause) {
    throw loginRefused(image, `${new URL(realm).host} gave no token`, cause);
  }
}

function buildBasic({ username = "", password = "" }: RegistryCredentials): string {
  return `Basic ${Buffer.from(`${username}:${password}`).toString("base64")}`;
}
