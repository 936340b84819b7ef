import { randomUUID } from "node:crypto";
import * as core from "@actions/core";
import { errorMessage, type SourceLocation } from "../shared/errors.ts";
import { cleanLine, defuseCommands } from "./safe-text.ts";

export interface Annotation {
  title?: string;
  location?: SourceLocation | undefined;
}

/** GitHub shows ten annotations of each kind per step and silently drops the rest. */
const MAX_ANNOTATIONS = 10;
const MAX_SUMMARY_BYTES = 1_000_000; // of 1 MiB; a longer one is dropped whole, with an annotation

export type Runner = ReturnType<typeof createRunner>;

/**
 * The runner's contract: log, annotations, outputs, summary. All text may come from anybody: none of it is taken for a
 * command. Values to hide are given to `mask` before anything that could print them runs.
 */
export function createRunner() {
  const counts = { error: 0, warning: 0, notice: 0 };

  function annotate(kind: keyof typeof counts, message: string, { title, location }: Annotation = {}): void {
    counts[kind] += 1;
    if (counts[kind] > MAX_ANNOTATIONS) {
      core.info(defuseCommands(`${kind}: ${message}`));
      return;
    }
    const say = { error: core.error, warning: core.warning, notice: core.notice }[kind];
    say(message, {
      ...(title === undefined ? {} : { title }),
      ...(location === undefined
        ? {}
        : { file: location.file, startLine: location.line, startColumn: location.column }),
    });
  }

  return {
    info: (text: string) => core.info(defuseCommands(text)),
    debug: (text: string) => core.debug(text),
    error: (message: string, annotation?: Annotation) => annotate("error", message, annotation),
    warning: (message: string, annotation?: Annotation) => annotate("warning", message, annotation),
    notice: (message: string, annotation?: Annotation) => annotate("notice", message, annotation),
    mask(secret: string | undefined): void {
      if (secret !== undefined && secret !== "") {
        for (const form of listDerivedForms(secret)) {
          core.setSecret(form);
        }
      }
    },
    output: (name: string, value: string) => core.setOutput(name, value),
    async group<T>(title: string, work: () => Promise<T>): Promise<T> {
      return core.group(defuseCommands(title).replaceAll("\n", " "), work);
    },
    /** Opens a stretch of other people's output; until `end` the runner processes no command, ours included. */
    openForeignOutput(): ForeignOutput {
      const token = `flowyard-${randomUUID()}`;
      core.info(`::stop-commands::${token}`);
      return {
        line: (text) => core.info(cleanLine(text)),
        end: () => core.info(`::${token}::`),
      };
    },
    async summary(markdown: string): Promise<void> {
      if (Buffer.byteLength(markdown) > MAX_SUMMARY_BYTES) {
        return;
      }
      try {
        await core.summary.addRaw(markdown, true).write();
      } catch (error) {
        // A disk that is full, or a runner without summaries: the other reports are told all the same.
        core.warning(`The job summary was left out: ${errorMessage(error)}`);
      }
    },
    fail(): void {
      process.exitCode = core.ExitCode.Failure;
    },
  };
}

export interface ForeignOutput {
  line(text: string): void;
  end(): void;
}

/** A secret shows up encoded too, and masks work line by line. */
function listDerivedForms(secret: string): string[] {
  const lines = secret.split(/\r?\n/).filter((line) => line.length >= 4);
  const base64 = Buffer.from(secret, "utf8").toString("base64");
  return [...new Set([secret, ...lines, base64, encodeURIComponent(secret)])];
}
