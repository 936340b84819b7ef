import assert from "node:assert/strict";
import { randomUUID } from "node:crypto";
import { chmod, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { loadMachine } from "../../scripts/setup/machine.ts";
import { listContainers, removeContainer } from "../../src/docker/containers.ts";
import { type Engine, findEngine } from "../../src/docker/engine.ts";
import { readEngineSettings } from "../../src/docker/engine-address.ts";
import { findImage, removeImage, tagImage } from "../../src/docker/images.ts";
import { pushImage } from "../../src/docker/push.ts";
import type { JsonObject } from "../../src/prefect-api/primitives.ts";
import { missingPart, Stage } from "./worker-kill/stage.ts";

const Created = z.object({ id: z.string() });

const machine = await loadMachine();

describe("an image in a registry that asks for a password", {
  skip: missingPart(machine.docker, machine.baseImage, machine.registry),
}, () => {
  let stage: Stage;
  let engine: Engine;
  let image = "";
  let registry = { address: "", username: "", password: "" };

  before(async () => {
    assert.ok(machine.docker.available && machine.baseImage.available && machine.registry.available);
    registry = machine.registry.private;
    engine = await findEngine(readEngineSettings({ HOME: "/nonexistent", DOCKER_HOST: machine.docker.host }));
    image = `${registry.address}/worker-test-${randomUUID().slice(0, 8)}:1`;
    await tagImage(engine, machine.baseImage.tag, image);
    const { username, password } = registry;
    await pushImage(engine, { image, credentials: { username, password, serveraddress: registry.address } });
    stage = await Stage.open("docker", machine);
  });
  after(async () => {
    for (const { id } of await listContainers(engine, [stage.label])) {
      await removeContainer(engine, id);
    }
    await removeImage(engine, image);
    await stage?.close();
  });

  /** One run of a worker with this Docker configuration; answers the run's end. */
  async function runImage(config: JsonObject | undefined, variables: JsonObject, path = "") {
    await removeImage(engine, image);
    assert.equal(await findImage(engine, image), undefined);
    const folder = join(stage.folder, randomUUID());
    await mkdir(folder);
    if (config !== undefined) {
      await writeFile(join(folder, "config.json"), JSON.stringify(config));
    }
    const worker = await stage.startWorker({
      DOCKER_CONFIG: folder,
      ...(path === "" ? {} : { PATH: `${path}:/usr/local/bin:/usr/bin:/bin` }),
    });
    const id = await stage.createRun({ variables: { image, image_pull_policy: "IfNotPresent", ...variables } });
    await stage.openGate();
    let type: string | null | undefined;
    while (type !== "COMPLETED" && type !== "CRASHED") {
      type = (await stage.client.flowRuns.get(id)).state_type;
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
    worker.child.kill("SIGTERM");
    await worker.finish(20_000);
    assert.doesNotMatch(worker.output, new RegExp(registry.password), "no log shows the password");
    return { type, message: (await stage.client.flowRuns.get(id)).state?.message ?? "", output: worker.output };
  }

  /** Makes something at the plane and answers its id. */
  async function post(path: string, body: JsonObject): Promise<string> {
    const response = await fetch(`${stage.plane.apiUrl}${path}`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return Created.parse(await response.json()).id;
  }

  const login = (password: string) => ({
    auths: { [registry.address]: { auth: Buffer.from(`${registry.username}:${password}`).toString("base64") } },
  });

  test("is pulled with what docker login stored in config.json", async () => {
    const end = await runImage(login(registry.password), {});

    assert.equal(end.type, "COMPLETED", end.output);
  });

  test("is pulled with what a credential helper says", async () => {
    const bin = join(stage.folder, "bin");
    await mkdir(bin);
    const { username, password } = registry;
    const answer = JSON.stringify({ ServerURL: registry.address, Username: username, Secret: password });
    await writeFile(join(bin, "docker-credential-test"), `#!/bin/sh\ncat > /dev/null\necho '${answer}'\n`);
    await chmod(join(bin, "docker-credential-test"), 0o755);

    const end = await runImage({ credHelpers: { [registry.address]: "test" } }, {}, bin);

    assert.equal(end.type, "COMPLETED", end.output);
  });

  test("is pulled with a block that registry_credentials refers to", async () => {
    const { username, password, address } = registry;
    const name = `registry-${randomUUID().slice(0, 8)}`;
    const type = await post("/block_types/", {
      name: "Docker Registry Credentials",
      slug: "docker-registry-credentials",
    });
    const fields = { type: "object", properties: { password: { type: "string", format: "password" } } };
    const schema = await post("/block_schemas/", { block_type_id: type, fields, capabilities: [] });
    const document = await post("/block_documents/", {
      name,
      block_type_id: type,
      block_schema_id: schema,
      data: { username, password, registry_url: address },
    });

    const end = await runImage(undefined, { registry_credentials: { $ref: { block_document_id: document } } });

    assert.equal(end.type, "COMPLETED", end.output);
  });

  test("is refused with a wrong password, and the run says whose fault that is", async () => {
    const end = await runImage(login("wrong"), {});

    assert.equal(end.type, "CRASHED");
    assert.match(end.message, /IMAGE_PULL_REFUSED/);
    assert.match(end.message, new RegExp(registry.address));
  });
});
