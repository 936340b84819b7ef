import assert from "node:assert/strict";
import { describe, test } from "node:test";
import { createContainer } from "../../src/docker/containers.ts";
import { pullImage } from "../../src/docker/images.ts";
import { pushImage } from "../../src/docker/push.ts";
import { TransientError, UserError } from "../../src/shared/errors.ts";
import { startFakeDocker } from "../support/fake-docker.ts";

interface Failure {
  code: string;
  message: string;
  isTransient: boolean;
}

async function failureOf(action: Promise<unknown>): Promise<Failure> {
  try {
    await action;
  } catch (error) {
    if (error instanceof UserError || error instanceof TransientError) {
      return { code: error.code, message: error.message, isTransient: error instanceof TransientError };
    }
    throw error;
  }
  throw new Error("it succeeded");
}

/** The engine's words, as answered with a status or in the middle of a stream that began with 200. */
const pullFailures: [string, number | "in the stream", string][] = [
  ["manifest for etl:9 not found: manifest unknown: manifest unknown", 404, "IMAGE_NOT_FOUND"],
  [
    "pull access denied for etl, repository does not exist or may require 'docker login': denied: requested access to the resource is denied",
    404,
    "IMAGE_NOT_FOUND",
  ],
  ['failed to resolve reference "r.example/etl:9": r.example/etl:9: not found', "in the stream", "IMAGE_NOT_FOUND"],
  ['Get "https://r.example/v2/etl/manifests/9": no basic auth credentials', 500, "IMAGE_PULL_REFUSED"],
  ["unauthorized: authentication required", 500, "IMAGE_PULL_REFUSED"],
  ["error parsing HTTP 403 response body: unexpected end of JSON input: forbidden", 500, "IMAGE_PULL_REFUSED"],
  ["denied: permission_denied: read_package", "in the stream", "IMAGE_PULL_REFUSED"],
  ['Get "https://r.example/v2/": dial tcp: lookup r.example: no such host', 500, "REGISTRY_UNREACHABLE"],
  ['Get "https://r.example/v2/": dial tcp 10.0.0.1:443: connect: connection refused', 500, "REGISTRY_UNREACHABLE"],
  [
    "net/http: request canceled while waiting for connection (Client.Timeout exceeded while awaiting headers)",
    500,
    "REGISTRY_UNREACHABLE",
  ],
  ["toomanyrequests: You have reached your pull rate limit.", 429, "REGISTRY_RATE_LIMITED"],
  ["unexpected EOF", "in the stream", "REGISTRY_UNREACHABLE"],
  [
    "failed to register layer: Error processing tar file(exit status 1): write /x: no space left on device",
    "in the stream",
    "DOCKER_DISK_FULL",
  ],
  ["invalid reference format", 400, "IMAGE_PULL_REFUSED"],
];

describe("a pull that fails", () => {
  for (const [text, where, code] of pullFailures) {
    test(`${where}, with "${text.slice(0, 60)}", is ${code}`, async () => {
      await using fake = await startFakeDocker(({ path }) => {
        if (path !== "/images/create") {
          return undefined;
        }
        return where === "in the stream"
          ? { status: 200, lines: [{ status: "Pulling from etl" }, { errorDetail: { message: text }, error: text }] }
          : { status: where, json: { message: text } };
      });

      const failure = await failureOf(pullImage(await fake.connect(), { image: "r.example/etl:9" }));

      assert.equal(failure.code, code);
      assert.equal(failure.isTransient, ["REGISTRY_UNREACHABLE", "REGISTRY_RATE_LIMITED"].includes(code));
      assert.ok(failure.message.includes(text), failure.message);
      assert.match(failure.message, /r\.example\/etl:9/);
    });
  }

  test("because the engine hangs up is DOCKER_UNREACHABLE, worth trying again", async () => {
    await using fake = await startFakeDocker(({ path }) =>
      path === "/images/create" ? { respond: (response) => response.destroy() } : undefined,
    );

    const failure = await failureOf(pullImage(await fake.connect(), { image: "etl:1" }));

    assert.equal(failure.code, "DOCKER_UNREACHABLE");
    assert.equal(failure.isTransient, true);
  });

  test("because the stream is cut is no success", async () => {
    await using fake = await startFakeDocker(({ path }) =>
      path === "/images/create"
        ? {
            respond: (response) => {
              response.writeHead(200);
              response.write(`${JSON.stringify({ status: "Pulling" })}\n`, () => response.destroy());
            },
          }
        : undefined,
    );

    const failure = await failureOf(pullImage(await fake.connect(), { image: "etl:1" }));

    assert.equal(failure.code, "DOCKER_UNREACHABLE");
  });
});

test("a container that finds no room on the engine's disk is not what the job's variables are to blame for", async () => {
  const text = "write /var/lib/docker/overlay2/3bbb-init/link: no space left on device";
  await using fake = await startFakeDocker(({ path }) =>
    path === "/containers/create" ? { status: 500, json: { message: text } } : undefined,
  );

  const failure = await failureOf(createContainer(await fake.connect(), "etl", { Image: "etl:1" }));

  assert.equal(failure.code, "DOCKER_DISK_FULL");
  assert.ok(failure.message.includes(text), failure.message);
});

test("an image without a tag is pulled as latest, one with a digest by its digest", async () => {
  await using fake = await startFakeDocker(({ path }) =>
    path === "/images/create" ? { status: 200, lines: [{ status: "Done" }] } : undefined,
  );
  const engine = await fake.connect();

  await pullImage(engine, { image: "localhost:5000/team/etl" });
  await pullImage(engine, { image: "etl:1@sha256:abc" });

  const asked = fake.requests
    .filter(({ path }) => path === "/images/create")
    .map(({ query }) => Object.fromEntries(query));
  assert.deepEqual(asked, [{ fromImage: "localhost:5000/team/etl", tag: "latest" }, { fromImage: "etl@sha256:abc" }]);
});

describe("a push", () => {
  test("answers with the digest that the registry gave", async () => {
    await using fake = await startFakeDocker(({ path }) =>
      path === "/images/r.example/etl/push"
        ? {
            status: 200,
            lines: [{ status: "Pushed" }, { progressDetail: {}, aux: { Tag: "1", Digest: "sha256:abc", Size: 5 } }],
          }
        : undefined,
    );

    const pushed = await pushImage(await fake.connect(), { image: "r.example/etl:1" });

    assert.equal(pushed.digest, "sha256:abc");
    const push = fake.requests.find(({ path }) => path.endsWith("/push"));
    assert.equal(push?.query.get("tag"), "1");
    assert.equal(Buffer.from(String(push?.headers["x-registry-auth"]), "base64").toString(), "{}");
  });

  const failures: [string, string][] = [
    ["denied: requested access to the resource is denied", "IMAGE_PUSH_REFUSED"],
    ["unauthorized: authentication required", "REGISTRY_LOGIN_REFUSED"],
    ["no basic auth credentials", "REGISTRY_LOGIN_REFUSED"],
    ["received unexpected HTTP status: 400 Bad Request", "IMAGE_PUSH_FAILED"],
    ["blob upload invalid", "IMAGE_PUSH_FAILED"],
    ["name unknown: repository not found", "IMAGE_PUSH_REFUSED"],
    ["An image does not exist locally with the tag: r.example/etl", "IMAGE_NOT_FOUND"],
    ['Get "https://r.example/v2/": dial tcp: lookup r.example: no such host', "REGISTRY_UNREACHABLE"],
  ];
  for (const [text, code] of failures) {
    test(`refused in the stream with "${text.slice(0, 50)}" is ${code}`, async () => {
      await using fake = await startFakeDocker(({ path }) =>
        path.endsWith("/push") ? { status: 200, lines: [{ status: "Preparing" }, { error: text }] } : undefined,
      );

      const failure = await failureOf(pushImage(await fake.connect(), { image: "r.example/etl:1" }));

      assert.equal(failure.code, code);
    });
  }

  test("that ends without a digest is no success", async () => {
    await using fake = await startFakeDocker(({ path }) =>
      path.endsWith("/push") ? { status: 200, lines: [{ status: "Preparing" }] } : undefined,
    );

    assert.equal((await failureOf(pushImage(await fake.connect(), { image: "etl:1" }))).code, "IMAGE_PUSH_FAILED");
  });
});
