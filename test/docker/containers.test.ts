import assert from "node:assert/strict";
import { test } from "node:test";
import {
  createContainer,
  findContainer,
  removeContainer,
  startContainer,
  stopContainer,
  waitContainer,
} from "../../src/docker/containers.ts";
import { type FakeDocker, startFakeDocker } from "../support/fake-docker.ts";

const never = new AbortController().signal;

/** An engine that answers every container call with this. */
function answering(status: number, message: string): Promise<FakeDocker> {
  return startFakeDocker(({ path }) => (path.startsWith("/containers/") ? { status, json: { message } } : undefined));
}

test("a taken name is an outcome, not an error", async () => {
  await using fake = await answering(
    409,
    'Conflict. The container name "/otter" is already in use by container "0123".',
  );

  assert.deepEqual(await createContainer(await fake.connect(), "otter", { Image: "x" }), { outcome: "name-taken" });
});

test("what a container is made with, secrets included, is in the request's body and not in its address", async () => {
  await using fake = await startFakeDocker(({ path }) =>
    path === "/containers/create" ? { status: 201, json: { Id: "0123" } } : undefined,
  );
  const options = { Image: "x", Env: ["KEY=secret"], platform: "linux/arm64" };

  assert.deepEqual(await createContainer(await fake.connect(), "otter", options), { outcome: "created", id: "0123" });

  const request = fake.requests.find(({ method }) => method === "POST");
  assert.equal(request?.query.toString(), "name=otter&platform=linux%2Farm64");
  assert.deepEqual(JSON.parse(request?.body ?? ""), { Image: "x", Env: ["KEY=secret"] });
});

test("an image that is not here is told with its name and what to do", async () => {
  await using fake = await answering(404, "No such image: etl:1");

  await assert.rejects(createContainer(await fake.connect(), "otter", { Image: "etl:1" }), {
    code: "IMAGE_NOT_FOUND",
    message: 'This engine has no image "etl:1".',
    hint: /image_pull_policy/,
  });
});

test("what else the engine refuses comes in its own words", async () => {
  await using fake = await answering(400, "invalid mount config for type bind");
  const engine = await fake.connect();

  await assert.rejects(createContainer(engine, "otter", { Image: "x" }), {
    code: "CONTAINER_REFUSED",
    message: "The container could not be created: invalid mount config for type bind",
  });
  await assert.rejects(startContainer(engine, "0123"), { code: "CONTAINER_REFUSED", message: /could not be started/ });
});

test("a container that is gone is not there: waiting, stopping and removing it are no errors", async () => {
  await using fake = await answering(404, "No such container: 0123");
  const engine = await fake.connect();

  assert.equal(await findContainer(engine, "0123"), undefined);
  await waitContainer(engine, "0123", never);
  await stopContainer(engine, "0123", 1);
  await removeContainer(engine, "0123");
});

test("a container that ends while it is killed for its removal is removed all the same", async () => {
  const message = "Could not kill running container 0123, cannot remove - Container 0123 is not running";
  await using fake = await startFakeDocker(({ method }) => {
    if (method !== "DELETE") {
      return undefined;
    }
    const isFirst = fake.requests.filter((request) => request.method === "DELETE").length === 1;
    return isFirst ? { status: 500, json: { message } } : { status: 204 };
  });

  await removeContainer(await fake.connect(), "0123");

  assert.equal(fake.requests.filter(({ method }) => method === "DELETE").length, 2);
});

test("Podman says the same with status 500", async () => {
  await using fake = await answering(500, "container 0123 does not exist in database: no such container");

  assert.equal(await findContainer(await fake.connect(), "0123"), undefined);
});

test("a container that runs or is stopped already is no error", async () => {
  await using fake = await answering(304, "");
  const engine = await fake.connect();

  await startContainer(engine, "0123");
  await stopContainer(engine, "0123", 1);
});

test("an engine that hangs up is worth trying again", async () => {
  await using fake = await startFakeDocker(({ path }) =>
    path.startsWith("/containers/") ? { respond: (response) => response.destroy() } : undefined,
  );
  const engine = await fake.connect();

  await assert.rejects(waitContainer(engine, "0123", never), { name: "TransientError", code: "DOCKER_UNREACHABLE" });
  await assert.rejects(findContainer(engine, "0123"), { name: "TransientError", code: "DOCKER_UNREACHABLE" });
});

test("an engine that hangs up in the middle of a wait is noticed", async () => {
  await using fake = await startFakeDocker(({ path }) =>
    path.endsWith("/wait")
      ? {
          // As Docker does it: the answer begins at once, and its body comes with the container's end.
          respond: (response) => {
            response.writeHead(200, { "content-type": "application/json" }).flushHeaders();
            setTimeout(() => response.destroy(), 50);
          },
        }
      : undefined,
  );

  const waiting = waitContainer(await fake.connect(), "0123", AbortSignal.timeout(5000));

  await assert.rejects(waiting, { name: "TransientError", code: "DOCKER_UNREACHABLE" });
});
