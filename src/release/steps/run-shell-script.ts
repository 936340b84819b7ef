import path from "node:path";
import { split } from "shlex";
import { z } from "zod";
import type { Environment } from "../../project/template.ts";
import { UserError } from "../../shared/errors.ts";
import { runProcess } from "./run-process.ts";
import { defineStep } from "./step.ts";

const Inputs = z.object({
  script: z.string(),
  directory: z.string().nullish(),
  env: z.record(z.string(), z.unknown()).nullish(),
  stream_output: z.boolean().default(true),
  expand_env_vars: z.boolean().default(false),
  shell: z.boolean().default(false),
});

/** Runs each line of `script` on its own, without a shell unless it is asked for; the first failing line ends it. */
export const runShellScript = defineStep(Inputs, async (inputs, context) => {
  const own = Object.entries(inputs.env ?? {}).map(([name, value]) => [name, String(value)] as const);
  const env = { ...context.env, ...Object.fromEntries(own) };
  const directory = path.resolve(context.directory, inputs.directory ?? ".");
  let stdout = "";
  let stderr = "";
  for (const line of inputs.script.split(/\r\n|\r|\n/)) {
    const command = (inputs.expand_env_vars ? expandVariables(line, env) : line).trim();
    const [program, ...args] = inputs.shell ? [command] : splitCommand(command);
    if (program === undefined || program === "") {
      continue;
    }
    const finished = await runProcess({
      command: program,
      args,
      shell: inputs.shell,
      directory,
      env,
      signal: context.signal,
      onOutput: inputs.stream_output ? context.write : () => undefined,
    });
    stdout += finished.stdout;
    stderr += finished.stderr;
    if (finished.exitCode !== 0) {
      const said = stderr.trim() === "" ? "" : `: ${stderr.trim()}`;
      throw new UserError("STEP_FAILED", `${JSON.stringify(command)} ended with exit code ${finished.exitCode}${said}`);
    }
  }
  return { outputs: { stdout: stdout.trim(), stderr: stderr.trim() } };
});

function splitCommand(command: string): string[] {
  try {
    return split(command);
  } catch (cause) {
    throw new UserError("STEP_FAILED", `${JSON.stringify(command)} has a quote that is not closed.`, {
      cause,
      hint: "Each line of a script is a command of its own; for more than that set shell: true.",
    });
  }
}

/** `$NAME`, `${NAME}` and `$$`, as Python's `string.Template`; unknown names stay as they are. */
function expandVariables(text: string, env: Environment): string {
  return text.replace(/\$(?:(\$)|([A-Za-z_]\w*)|\{([A-Za-z_]\w*)\})/g, (whole, dollar, name, braced) =>
    dollar === "$" ? "$" : (env[name ?? braced] ?? whole),
  );
}
