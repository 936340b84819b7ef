import type { Command } from "commander";
import type { CliContext } from "./context.ts";

export interface CommandEntry {
  name: string;
  summary: string;
  /** Loads the command's own code and adds it to the program: only the command that runs is loaded. */
  add(program: Command, context: CliContext): Promise<void>;
}

export const COMMANDS: CommandEntry[] = [
  {
    name: "server",
    summary: "start a control plane",
    add: async (...into) => (await import("./commands/server.ts")).addServerCommands(...into),
  },
  {
    name: "worker",
    summary: "start, list and drain workers",
    add: async (...into) => (await import("./commands/worker.ts")).addWorkerCommands(...into),
  },
  {
    name: "relay",
    summary: "start a relay between a worker's containers and the plane",
    add: async (...into) => (await import("./commands/relay.ts")).addRelayCommands(...into),
  },
  {
    name: "work-pool",
    summary: "manage work pools",
    add: async (...into) => (await import("./commands/work-pool.ts")).addWorkPoolCommands(...into),
  },
  {
    name: "work-queue",
    summary: "manage work queues",
    add: async (...into) => (await import("./commands/work-queue.ts")).addWorkQueueCommands(...into),
  },
  {
    name: "deploy",
    summary: "build and register the deployments of prefect.yaml, or one flow",
    add: async (...into) => (await import("./commands/deploy.ts")).addDeployCommand(...into),
  },
  {
    name: "plan",
    summary: "show what a release would change",
    add: async (...into) => (await import("./commands/plan.ts")).addPlanCommand(...into),
  },
  {
    name: "release",
    summary: "list, inspect and compare releases",
    add: async (...into) => (await import("./commands/release.ts")).addReleaseCommands(...into),
  },
  {
    name: "rollback",
    summary: "bring back an earlier release",
    add: async (...into) => (await import("./commands/rollback.ts")).addRollbackCommand(...into),
  },
  {
    name: "drift",
    summary: "show what was changed by hand since the last release",
    add: async (...into) => (await import("./commands/drift.ts")).addDriftCommand(...into),
  },
  {
    name: "deployment",
    summary: "run, list, inspect and schedule deployments",
    add: async (...into) => (await import("./commands/deployment.ts")).addDeploymentCommands(...into),
  },
  {
    name: "flow-run",
    summary: "list, watch, explain, cancel and retry flow runs",
    add: async (...into) => (await import("./commands/flow-run.ts")).addFlowRunCommands(...into),
  },
  {
    name: "flow",
    summary: "list flows and read them from source",
    add: async (...into) => (await import("./commands/flow.ts")).addFlowCommands(...into),
  },
  {
    name: "config",
    summary: "view and set the settings of a profile",
    add: async (...into) => (await import("./commands/config.ts")).addConfigCommands(...into),
  },
  {
    name: "profile",
    summary: "keep several sets of settings",
    add: async (...into) => (await import("./commands/profile.ts")).addProfileCommands(...into),
  },
  {
    name: "version",
    summary: "print the versions of this program and of the control plane",
    add: async (...into) => (await import("./commands/version.ts")).addVersionCommand(...into),
  },
];
