import { decodeBuildTrace } from "./buildkit-trace.ts";
import type { ProgressEvent } from "./progress.ts";

const TAIL_LINES = 20; // enough for a Python traceback's end or a package manager's last words

/** What one build said: lines for people as they come, and what is needed to explain a failure. */
export interface BuildLog {
  read: (event: ProgressEvent) => void;
  /** Call once at the end: a line without its newline is still to come out. */
  finish: () => void;
  failedStep: () => { name: string; error: string; lastLines: string[] } | undefined;
}

interface Step {
  name: string;
  number: number;
  /** Output after the last newline. */
  rest: string;
  lastLines: string[];
  hasEnded: boolean;
  error: string;
}

/** Both builders' streams: BuildKit's trace messages and the plain `stream` texts of the classic builder and Podman. */
export function createBuildLog(onLine: (line: string) => void): BuildLog {
  const steps = new Map<string, Step>();

  const stepOf = (digest: string): Step => {
    const known = steps.get(digest);
    if (known !== undefined) {
      return known;
    }
    const step = { name: "", number: steps.size + 1, rest: "", lastLines: [], hasEnded: false, error: "" };
    steps.set(digest, step);
    return step;
  };

  const write = (step: Step, text: string) => {
    const lines = (step.rest + text).split(/\r\n|\n|\r/);
    step.rest = lines.pop() ?? "";
    for (const line of lines.filter((content) => content.trim() !== "")) {
      step.lastLines = [...step.lastLines, line].slice(-TAIL_LINES);
      onLine(step.name === "" ? line : `#${step.number} ${line}`);
    }
  };

  const readTrace = (base64: string) => {
    const trace = decodeBuildTrace(Buffer.from(base64, "base64"));
    for (const { digest, name, isStarted, isCached, isCompleted, error } of trace.steps) {
      const step = stepOf(digest);
      if (step.name === "" && (isStarted || isCached)) {
        step.name = name;
        onLine(`#${step.number} ${name}`);
      }
      if (isCached && !step.hasEnded) {
        onLine(`#${step.number} CACHED`);
      }
      step.hasEnded ||= isCached || isCompleted;
      step.error ||= error;
    }
    for (const output of trace.outputs) {
      write(stepOf(output.step), output.text);
    }
  };

  return {
    read: (event) => {
      if (event.id === "moby.buildkit.trace") {
        readTrace(typeof event.aux === "string" ? event.aux : "");
      } else if (event.stream !== undefined) {
        write(stepOf("classic"), event.stream);
      } else if (event.status !== undefined && event.progress === undefined) {
        write(stepOf("classic"), `${event.status}\n`);
      }
    },
    finish: () => {
      for (const step of steps.values()) {
        write(step, step.rest === "" ? "" : "\n");
      }
    },
    failedStep: () => {
      // A failing step cancels its neighbours, which then carry `context canceled`: the first real one is the cause.
      const failed = [...steps.values()].filter((step) => step.error !== "");
      const cause = failed.find((step) => !step.error.includes("context canceled")) ?? failed[0];
      return cause ?? steps.get("classic");
    },
  };
}
