import { randomBytes } from "node:crypto";
import type { Operation } from "./description.ts";

/** Keys of a workflow's `permissions:` in GitHub's own spelling: `pull_requests`, not `pull-requests`. */
export type TokenPermissions = Record<string, "read" | "write">;

interface Token {
  login: string;
  permissions: TokenPermissions;
}

const RANK: Record<string, number> = { read: 1, write: 2, admin: 3 };
/** What GITHUB_TOKEN can never have, whatever a workflow asks for. */
const NEVER = new Set([
  "administration",
  "actions_variables",
  "environments",
  "members",
  "organization_administration",
]);

/** The tokens that the fake knows. They have no fixed length or form, as GitHub's have none any more. */
export class Tokens {
  readonly #tokens = new Map<string, Token>();

  issue(permissions: TokenPermissions, login = "github-actions[bot]"): string {
    const token = `ghs_1234_${randomBytes(40).toString("base64url")}`;
    const grantable = Object.entries(permissions).filter(([name]) => !NEVER.has(name));
    this.#tokens.set(token, { login, permissions: Object.fromEntries(grantable) });
    return token;
  }

  find(authorization: string | undefined): Token | undefined {
    return this.#tokens.get(/^(?:token|bearer) (.+)$/i.exec(authorization ?? "")?.[1] ?? "");
  }
}

export function isAllowed(operation: Operation, { permissions }: Token): boolean {
  const has = (name: string, level: string) =>
    (RANK[name === "metadata" ? "read" : (permissions[name] ?? "")] ?? 0) >= (RANK[level] ?? Number.POSITIVE_INFINITY);
  return (
    operation.permissions.length === 0 ||
    operation.permissions.some((set) => Object.entries(set).every(([name, level]) => has(name, level)))
  );
}

/** As in X-Accepted-GitHub-Permissions: `;` is or, `,` is and. */
export function describePermissions(operation: Operation): string {
  return operation.permissions
    .map((set) =>
      Object.entries(set)
        .map(([name, level]) => `${name}=${level}`)
        .join(","),
    )
    .join("; ");
}
