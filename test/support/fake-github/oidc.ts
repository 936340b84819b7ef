import { createSign, generateKeyPairSync, type KeyObject, randomUUID } from "node:crypto";
import type { JsonObject } from "./json.ts";

const LIFETIME_SECONDS = 300;
const NOT_BEFORE_SECONDS = 600;

interface Key {
  kid: string;
  privateKey: KeyObject;
  publicKey: KeyObject;
}

/** The issuer of the tokens that a GitHub job can ask for, and the endpoint that the runner gives to its steps. */
export class Oidc {
  /** What ACTIONS_ID_TOKEN_REQUEST_TOKEN holds. */
  readonly requestToken = `oidc-request-${randomUUID()}`;
  readonly issuer: string;
  /** Claims of the job; tests set those of their case. */
  claims: JsonObject = {};
  #active = 0;

  constructor(baseUrl: string) {
    this.issuer = `${baseUrl}/oidc`;
  }

  /** What ACTIONS_ID_TOKEN_REQUEST_URL holds: it has a query already, so the client appends `&audience=`. */
  get requestUrl(): string {
    return `${this.issuer}/request?api-version=2.0`;
  }

  /** From now on the other key signs; both stay published. */
  rotate(): void {
    this.#active = 1 - this.#active;
  }

  answer(
    path: string,
    query: URLSearchParams,
    authorization: string | undefined,
  ): { status: number; body: JsonObject } {
    switch (path) {
      case "/oidc/.well-known/openid-configuration":
        return { status: 200, body: this.#describe() };
      case "/oidc/.well-known/jwks":
        return { status: 200, body: { keys: listKeys().map(showKey) } };
      case "/oidc/request":
        return authorization?.toLowerCase() === `bearer ${this.requestToken}`.toLowerCase()
          ? { status: 200, body: { value: this.sign({ aud: query.get("audience") ?? this.#defaultAudience() }) } }
          : { status: 401, body: { message: "Unauthorized" } };
      default:
        return { status: 404, body: { message: "Not Found" } };
    }
  }

  /** A token with the job's claims, changed as given: also for forged and expired ones. */
  sign(changes: JsonObject): string {
    const now = Math.floor(Date.now() / 1000);
    const times = { iat: now, nbf: now - NOT_BEFORE_SECONDS, exp: now + LIFETIME_SECONDS };
    const payload = { iss: this.issuer, jti: randomUUID(), ...times, ...this.claims, ...changes };
    const key = listKeys()[this.#active];
    if (key === undefined) {
      throw new Error("the issuer has no key");
    }
    const head = { alg: "RS256", typ: "JWT", kid: key.kid };
    const text = [head, payload].map((part) => Buffer.from(JSON.stringify(part)).toString("base64url")).join(".");
    return `${text}.${createSign("RSA-SHA256").update(text).sign(key.privateKey, "base64url")}`;
  }

  #defaultAudience(): string {
    const owner = this.claims["repository_owner"];
    return `https://github.com/${typeof owner === "string" ? owner : ""}`;
  }

  #describe(): JsonObject {
    return {
      issuer: this.issuer,
      jwks_uri: `${this.issuer}/.well-known/jwks`,
      claims_supported: ["sub", "aud", "exp", "iat", "iss", "jti", "nbf", ...Object.keys(this.claims)],
      response_types_supported: ["id_token"],
      id_token_signing_alg_values_supported: ["RS256"],
    };
  }
}

let keys: Key[] | undefined;

/** Two keys for all issuers of this process: making one takes a tenth of a second. */
function listKeys(): Key[] {
  keys ??= [makeKey(), makeKey()];
  return keys;
}

function makeKey(): Key {
  return { kid: randomUUID(), ...generateKeyPairSync("rsa", { modulusLength: 2048 }) };
}

function showKey({ kid, publicKey }: Key): JsonObject {
  const { n = "", e = "" } = publicKey.export({ format: "jwk" });
  return { kty: "RSA", alg: "RS256", use: "sig", kid, n, e };
}

/** The claims that GitHub gives to a job, from the environment of that job. */
export function buildClaims(
  env: Record<string, string>,
  job: { environment?: string; immutableSub?: boolean } = {},
): JsonObject {
  const get = (name: string) => env[`GITHUB_${name}`] ?? "";
  const [owner = "", repo = ""] = get("REPOSITORY").split("/");
  const subject = job.immutableSub
    ? `repo:${owner}@${get("REPOSITORY_OWNER_ID")}/${repo}@${get("REPOSITORY_ID")}`
    : `repo:${owner}/${repo}`;
  const isPull = env["GITHUB_EVENT_NAME"] === "pull_request";
  const place =
    job.environment === undefined ? (isPull ? "pull_request" : `ref:${get("REF")}`) : `environment:${job.environment}`;
  return {
    sub: `${subject}:${place}`,
    actor: get("ACTOR"),
    actor_id: "21031067",
    base_ref: get("BASE_REF"),
    head_ref: get("HEAD_REF"),
    event_name: get("EVENT_NAME"),
    ref: get("REF"),
    ref_type: get("REF_TYPE"),
    repository: get("REPOSITORY"),
    repository_id: get("REPOSITORY_ID"),
    repository_owner: get("REPOSITORY_OWNER"),
    repository_owner_id: get("REPOSITORY_OWNER_ID"),
    repository_visibility: "public",
    run_id: get("RUN_ID"),
    run_number: get("RUN_NUMBER"),
    run_attempt: get("RUN_ATTEMPT"),
    runner_environment: "github-hosted",
    sha: get("SHA"),
    workflow: get("WORKFLOW"),
    workflow_ref: get("WORKFLOW_REF"),
    job_workflow_ref: get("WORKFLOW_REF"),
    ...(job.environment === undefined ? {} : { environment: job.environment }),
  };
}
