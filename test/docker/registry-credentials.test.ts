import assert from "node:assert/strict";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { findRegistry, findRegistryCredentials } from "../../src/docker/registry-credentials.ts";

let folder = "";

before(async () => {
  folder = await mkdtemp(join(tmpdir(), "flowyard-docker-config-"));
});
after(() => rm(folder, { recursive: true, force: true }));

const login = (text: string) => ({ auth: Buffer.from(text).toString("base64") });

describe("the registry of an image", () => {
  const cases: [string, string][] = [
    ["etl", "https://index.docker.io/v1/"],
    ["team/etl:1", "https://index.docker.io/v1/"],
    ["docker.io/team/etl", "https://index.docker.io/v1/"],
    ["ghcr.io/team/etl@sha256:1", "ghcr.io"],
    ["localhost/etl", "localhost"],
    ["registry:5000/etl", "registry:5000"],
  ];
  for (const [image, registry] of cases) {
    test(`of ${image} is ${registry}`, () => assert.equal(findRegistry(image), registry));
  }
});

test("no config.json and no entry mean no credentials", async () => {
  assert.equal(await findRegistryCredentials(join(folder, "none"), "ghcr.io/x/y"), undefined);
});

test("what docker login stored is found by the registry's name, with or without https", async () => {
  await writeFile(
    join(folder, "config.json"),
    JSON.stringify({
      auths: {
        "https://index.docker.io/v1/": login("hub:secret"),
        "ghcr.io": login("me:pass:with:colons"),
        "https://r.example": { identitytoken: "token" },
        "empty.example": {},
      },
    }),
  );

  assert.deepEqual(await findRegistryCredentials(folder, "team/etl"), {
    serveraddress: "https://index.docker.io/v1/",
    username: "hub",
    password: "secret",
  });
  assert.deepEqual(await findRegistryCredentials(folder, "ghcr.io/x/y:1"), {
    serveraddress: "ghcr.io",
    username: "me",
    password: "pass:with:colons",
  });
  assert.deepEqual(await findRegistryCredentials(folder, "r.example/x"), {
    serveraddress: "r.example",
    identitytoken: "token",
  });
  assert.equal(await findRegistryCredentials(folder, "empty.example/x"), undefined);
});

test("a config.json that is no JSON, and a helper that is missing, are named", async () => {
  await writeFile(join(folder, "config.json"), "{");
  await assert.rejects(findRegistryCredentials(folder, "ghcr.io/x/y"), {
    code: "CONFIG_INVALID",
    message: /config\.json/,
  });

  await writeFile(join(folder, "config.json"), JSON.stringify({ credHelpers: { "ghcr.io": "no-such-helper" } }));
  await assert.rejects(findRegistryCredentials(folder, "ghcr.io/x/y"), {
    code: "CONFIG_INVALID",
    message: /docker-credential-no-such-helper gave no credentials for ghcr\.io/,
  });
});
