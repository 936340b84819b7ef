import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { describe, test } from "node:test";
import { runToEnd } from "../support/child-process.ts";
import { flowyard, plainEnvironment, startPlane } from "../support/plane-process.ts";

describe("a worker that cannot start", () => {
  const startWorker = (home: string, apiUrl: string, env: Record<string, string> = {}) =>
    runToEnd(flowyard, ["worker", "start", "--pool", "docker", "--type", "docker", "--with-healthcheck"], {
      cwd: home,
      env: plainEnvironment(home, { PREFECT_API_URL: apiUrl, PREFECT_WORKER_WEBSERVER_PORT: "0", ...env }),
      timeoutMs: 30_000,
    });

  test("ends, health server and all, so that whoever watches it can start it again", async () => {
    const home = await mkdtemp(join(tmpdir(), "flowyard-start-worker-"));
    await using plane = await startPlane();

    const withoutPlane = await startWorker(home, "http://127.0.0.1:1/api");
    const withoutEngine = await startWorker(home, plane.apiUrl, { DOCKER_HOST: "unix:///nonexistent/docker.sock" });

    await rm(home, { recursive: true });
    assert.match(withoutPlane.stderr, /PLANE_UNREACHABLE/);
    assert.equal(withoutPlane.code, 1);
    assert.match(withoutEngine.stderr, /DOCKER_UNREACHABLE/);
    assert.equal(withoutEngine.code, 1);
  });
});
