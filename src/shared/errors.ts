import type { ErrorCode } from "./error-codes.ts";

/** Where in a file a problem is. Lines and columns count from 1. */
export interface SourceLocation {
  file: string;
  line: number;
  column: number;
}

interface ErrorDetails {
  /** What to do about it, as one sentence. */
  hint?: string;
  location?: SourceLocation;
  cause?: unknown;
}

/** Someone outside can fix it: shown as a message without a stack. */
export class UserError extends Error {
  override readonly name = "UserError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly location: SourceLocation | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.hint = details.hint;
    this.location = details.location;
  }
}

/** Trying again may help: retried by the loop that owns the work. */
export class TransientError extends Error {
  override readonly name = "TransientError";
  readonly code: ErrorCode;
  readonly retryAfterMs: number | undefined;

  constructor(code: ErrorCode, message: string, details: { retryAfterMs?: number; cause?: unknown } = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.code = code;
    this.retryAfterMs = details.retryAfterMs;
  }
}

/** The text of anything that was thrown, for a message that wraps it. */
export function errorMessage(thrown: unknown): string {
  return thrown instanceof Error ? thrown.message : String(thrown);
}

/** Whether it is one of our errors with this code. */
export function hasCode(thrown: unknown, code: ErrorCode): boolean {
  return (thrown instanceof UserError || thrown instanceof TransientError) && thrown.code === code;
}
