import assert from "node:assert/strict";
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { parse } from "yaml";
import { z } from "zod";
import { buildComposeTemplate } from "../../scripts/build-image.ts";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { runCommand } from "../../scripts/setup/run-command.ts";
import { root } from "./sources.ts";

const { compose } = await loadMachine();
const flowyard = join(root, "bin/flowyard");
const unitFolder = join(root, "worker/systemd");
/** Without a value for each of these nothing may start. */
const REQUIRED = ["FLOWYARD_AUTH_STRING", "POSTGRES_PASSWORD", "DOCKER_GID"];

const Compose = z.object({
  services: z.record(
    z.string(),
    z.object({
      image: z.string(),
      command: z.array(z.string()).optional(),
      environment: z.record(z.string(), z.string()).default({}),
      volumes: z.array(z.string()).default([]),
      networks: z.array(z.string()),
      depends_on: z
        .record(z.string(), z.object({ condition: z.enum(["service_healthy", "service_started"]) }))
        .default({}),
      ports: z.array(z.string()).default([]),
    }),
  ),
  networks: z.record(z.string(), z.unknown()),
  volumes: z.record(z.string(), z.unknown()),
});

async function readCompose() {
  const text = await readFile(join(root, "compose.yaml"), "utf8");
  return { text, ...Compose.parse(parse(text, { merge: true })) };
}

/** Does a command of ours take these arguments? Its help says so without doing anything. */
async function checkCommand([group = "", verb = "", ...args]: readonly string[]): Promise<void> {
  const { output, code } = await runCommand(flowyard, [group, verb, "--help"]);
  assert.equal(code, 0, output);
  const flags = args.filter((arg) => arg.startsWith("--")).map((arg) => arg.split("=", 1)[0] ?? "");
  for (const flag of flags) {
    assert.ok(output.includes(`${flag} `) || output.includes(`${flag}\n`), `${group} ${verb} has no ${flag}`);
  }
}

async function listDocumentedVariables(): Promise<Set<string>> {
  const markdown = await readFile(join(root, "docs/configuration.md"), "utf8");
  return new Set([...markdown.matchAll(/^\| `([A-Z][A-Z0-9_]+)`/gm)].map((match) => match[1] ?? ""));
}

describe("compose.yaml", () => {
  test("asks for every secret, and has a default for none", async () => {
    const { text } = await readCompose();
    const example = await readFile(join(root, "compose.env.example"), "utf8");
    for (const name of REQUIRED) {
      const uses = [...text.matchAll(new RegExp(`\\$\\{${name}[^}]*\\}`, "g"))].map(([use]) => use);
      assert.ok(uses.length > 0, `${name} is not used`);
      assert.ok(
        uses.every((use) => use.startsWith(`\${${name}:?`)),
        `${name} is used without being asked for: ${uses}`,
      );
      assert.match(example, new RegExp(`^${name}=$`, "m"));
    }
  });

  test("starts our commands with flags that they have, and variables that are documented", async () => {
    const { services } = await readCompose();
    const documented = await listDocumentedVariables();
    for (const [name, { command, environment }] of Object.entries(services)) {
      if (command === undefined) {
        continue;
      }
      await checkCommand(command);
      const unknown = Object.keys(environment).filter((key) => key !== "PGPASSWORD" && !documented.has(key));
      assert.deepEqual(unknown, [], `${name} sets what nobody reads`);
    }
    assert.deepEqual(Object.keys(services).sort(), ["plane", "postgres", "relay", "worker"]);
  });

  test("names only volumes, networks and services that it has, and publishes to this host alone", async () => {
    const { services, networks, volumes } = await readCompose();
    for (const service of Object.values(services)) {
      const named = service.volumes
        .map((volume) => volume.split(":", 1)[0] ?? "")
        .filter((one) => !one.startsWith("/"));
      assert.deepEqual(
        named.filter((one) => !(one in volumes)),
        [],
      );
      assert.deepEqual(
        service.networks.filter((one) => !(one in networks)),
        [],
      );
      assert.deepEqual(
        Object.keys(service.depends_on).filter((one) => !(one in services)),
        [],
      );
      assert.ok(service.ports.every((port) => /^\$\{\w+:-127\.0\.0\.1:\d+\}:\d+$/.test(port)));
    }
  });

  const skip = compose.available ? false : compose.reason;
  test("is taken by Docker Compose, and refused by it without the secrets", { skip }, async () => {
    assert.ok(compose.available);
    const { plugin } = compose;
    const folder = await mkdtemp(join(tmpdir(), "flowyard-compose-"));
    await cp(join(root, "compose.yaml"), join(folder, "compose.yaml"));
    const config = () => runCommand(plugin, ["--project-directory", folder, "config", "--quiet"], { cwd: folder });

    const refused = await config();
    await writeFile(join(folder, ".env"), REQUIRED.map((name) => `${name}=1\n`).join(""));
    const taken = await config();

    await rm(folder, { recursive: true });
    assert.notEqual(refused.code, 0);
    assert.match(refused.output, /set \w+.* in \.env/);
    assert.equal(taken.code, 0, taken.tail);
  });

  test("has the network that the base job template of its worker's pool names", async () => {
    const { networks } = z
      .object({ networks: z.object({ flowyard: z.object({ name: z.string() }) }) })
      .parse(parse((await readCompose()).text, { merge: true }));
    const template = z
      .object({
        variables: z.object({ properties: z.object({ networks: z.object({ default: z.array(z.string()) }) }) }),
      })
      .parse(JSON.parse(await buildComposeTemplate()));
    const [name = ""] = template.variables.properties.networks.default;
    assert.equal(networks.flowyard.name, `\${FLOWYARD_NETWORK:-${name}}`);
  });
});

describe("the systemd units", () => {
  test("start our commands with flags that they have, and keep what has to survive the worker", async () => {
    const documented = await listDocumentedVariables();
    for (const name of await readdir(unitFolder)) {
      const text = await readFile(join(unitFolder, name), "utf8");
      const [, command = ""] = /^ExecStart=\/opt\/flowyard\/bin\/flowyard (.*)$/m.exec(text) ?? [];
      await checkCommand(command.split(" "));
      const variables = [...text.matchAll(/^Environment=(.*)$/gm)].flatMap(([, set = ""]) =>
        set.split(" ").map((one) => one.split("=", 1)[0] ?? ""),
      );
      const unknown = variables.filter(
        (one) => one !== "NODE_COMPILE_CACHE" && one !== "FLOWYARD_POOL" && !documented.has(one),
      );
      assert.deepEqual(unknown, [], `${name} sets what nobody reads`);
      assert.match(text, /^Restart=always$/m);
      assert.match(text, /^NoNewPrivileges=yes$/m);
    }
    const worker = await readFile(join(unitFolder, "flowyard-worker.service"), "utf8");
    assert.match(worker, /^KillMode=process$/m);
    const [, drain] = /FLOWYARD_WORKER_DRAIN_SECONDS=(\d+)/.exec(worker) ?? [];
    const [, stop] = /^TimeoutStopSec=(\d+)min$/m.exec(worker) ?? [];
    assert.ok(Number(drain) < Number(stop) * 60, "the worker has to leave by itself before systemd kills it");
  });

  test("are taken by systemd where that is there", async (context) => {
    if ((await runCommand("systemd-analyze", ["--version"])).code !== 0) {
      context.diagnostic("systemd-analyze is not installed: only the test above looks at the units");
      return;
    }
    const folder = await mkdtemp(join(tmpdir(), "flowyard-units-"));
    const names = await readdir(unitFolder);
    for (const name of names) {
      // It looks whether the program is there.
      const text = await readFile(join(unitFolder, name), "utf8");
      await writeFile(join(folder, name), text.replaceAll("/opt/flowyard/bin/flowyard", flowyard));
    }

    const { code, output } = await runCommand("systemd-analyze", [
      ...["verify", "--man=no"],
      ...names.map((name) => join(folder, name)),
    ]);

    await rm(folder, { recursive: true });
    assert.equal(code, 0, output);
    assert.equal(output.trim(), "");
  });
});
