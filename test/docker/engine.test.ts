import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { link, mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, test } from "node:test";
import { findEngine } from "../../src/docker/engine.ts";
import { listEngineAddresses, readEngineSettings } from "../../src/docker/engine-address.ts";
import { UserError } from "../../src/shared/errors.ts";
import { startFakeDocker } from "../support/fake-docker.ts";

let home = "";

before(async () => {
  home = await mkdtemp(join(tmpdir(), "flowyard-home-"));
});
after(() => rm(home, { recursive: true, force: true }));

async function writeContext(name: string, url: string): Promise<void> {
  const folder = join(home, ".docker/contexts/meta", createHash("sha256").update(name).digest("hex"));
  await mkdir(folder, { recursive: true });
  await writeFile(join(folder, "meta.json"), JSON.stringify({ Name: name, Endpoints: { docker: { Host: url } } }));
}

async function refusalOf(environment: Record<string, string>): Promise<UserError> {
  try {
    await findEngine(readEngineSettings(environment));
  } catch (error) {
    if (error instanceof UserError) {
      return error;
    }
    throw error;
  }
  throw new Error("an engine was found");
}

test("DOCKER_HOST is the only address when it is set, and wins over a context", async () => {
  await writeContext("remote", "tcp://10.0.0.1:2375");

  const addresses = await listEngineAddresses(
    readEngineSettings({ HOME: home, DOCKER_HOST: "unix:///x.sock", DOCKER_CONTEXT: "remote" }),
  );

  assert.deepEqual(addresses, [{ url: "unix:///x.sock", source: "DOCKER_HOST" }]);
});

test("a context is read from Docker's own files, by variable or by config.json", async () => {
  await writeContext("remote", "tcp://10.0.0.1:2375");
  await writeFile(join(home, ".docker/config.json"), JSON.stringify({ currentContext: "remote" }));

  const byVariable = await listEngineAddresses(readEngineSettings({ HOME: home, DOCKER_CONTEXT: "remote" }));
  const byFile = await listEngineAddresses(readEngineSettings({ HOME: home }));
  await rm(join(home, ".docker/config.json"));

  assert.equal(byVariable[0]?.url, "tcp://10.0.0.1:2375");
  assert.equal(byFile[0]?.source, 'docker context "remote"');
});

test("without either the usual sockets are tried in order", async () => {
  const addresses = await listEngineAddresses(readEngineSettings({ HOME: home, XDG_RUNTIME_DIR: "/run/user/1000" }));

  const urls = addresses.map(({ url }) => url);
  assert.equal(urls[0], "unix:///var/run/docker.sock");
  assert.ok(urls.includes("unix:///run/user/1000/docker.sock"));
  assert.ok(urls.includes(`unix://${home}/.docker/run/docker.sock`));
});

test("an engine that answers is found", async () => {
  await using fake = await startFakeDocker(() => undefined);

  const engine = await fake.connect();

  assert.equal(engine.version, "20.10.24");
  assert.equal(engine.url, `unix://${fake.socketPath}`);
  assert.equal(engine.isPodman, false);
});

test("a socket that is not there is named, with how to start Docker", async () => {
  const error = await refusalOf({ HOME: home, DOCKER_HOST: `unix://${home}/none.sock` });

  assert.equal(error.code, "DOCKER_UNREACHABLE");
  assert.match(
    error.message,
    /none\.sock \(DOCKER_HOST\): there is no such socket; Docker is not running or not installed/,
  );
  assert.match(error.hint ?? "", /Start Docker/);
});

test("a socket that nobody listens on is told apart from one that is not there", async () => {
  const path = join(home, "dead.sock");
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(path, resolve));
  const folder = join(home, "copy");
  await mkdir(folder);
  // Closing removes the socket; a hard link to it stays behind, as after a kill.
  await link(path, join(folder, "dead.sock"));
  await new Promise((resolve) => server.close(resolve));

  const error = await refusalOf({ HOME: home, DOCKER_HOST: `unix://${folder}/dead.sock` });

  assert.match(error.message, /nothing listens there; the engine is not running/);
});

test("an engine that refuses to answer is quoted", async () => {
  await using fake = await startFakeDocker(() => ({
    status: 403,
    json: { message: "authorization denied by plugin" },
  }));

  const error = await refusalOf({ HOME: home, DOCKER_HOST: `unix://${fake.socketPath}` });

  assert.match(error.message, /answered "authorization denied by plugin"/);
});

test("an address that is none, and a context that does not exist, say so", async () => {
  const wrongUrl = await refusalOf({ HOME: home, DOCKER_HOST: "ftp://x" });
  const wrongContext = await refusalOf({ HOME: home, DOCKER_CONTEXT: "nowhere" });

  assert.match(wrongUrl.message, /ftp:\/\/x \(DOCKER_HOST\): is no address of an engine/);
  assert.match(wrongContext.message, /docker context "nowhere".*not known here/);
});
