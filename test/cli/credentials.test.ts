import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { createDeployment, startTestPlane, type TestPlane } from "./test-plane.ts";

const AUTH_STRING = "admin:correct-horse";
let plane: TestPlane;

describe("credentials", () => {
  before(async () => {
    plane = await startTestPlane({ authString: AUTH_STRING });
    await createDeployment(plane.client);
  });

  after(() => plane[Symbol.asyncDispose]());

  const env: Record<string, string>[] = [{}, { PREFECT_API_AUTH_STRING: "admin:wrong" }, { PREFECT_API_KEY: "wrong" }];
  for (const credentials of env) {
    test(`${JSON.stringify(credentials)} is refused, with what to set`, async () => {
      const { code, stderr } = await plane.cli(["work-pool", "ls"], { env: credentials });

      assert.equal(code, 1);
      assert.match(stderr, /refused the credentials.*UNAUTHORIZED.*\n.*PREFECT_API_AUTH_STRING/);
      assert.ok(!stderr.includes("wrong"), "a credential was printed");
    });
  }

  for (const credentials of [{ PREFECT_API_AUTH_STRING: AUTH_STRING }, { PREFECT_API_KEY: AUTH_STRING }]) {
    test(`${Object.keys(credentials)[0]} opens the API and the streams`, async () => {
      assert.equal((await plane.cli(["work-pool", "ls"], { env: credentials })).code, 0);

      const { code, stdout } = await plane.cli(["deployment", "run", "get-repo-info/my-deployment"], {
        env: credentials,
      });
      assert.equal(code, 0);
      const id = stdout.trim();
      const watched = await plane.cli(["flow-run", "watch", id], {
        env: credentials,
        onOutput: (text) => {
          if (/Scheduled/.test(text) && !/Completed/.test(text)) {
            void plane.client.flowRuns.setState(id, { state: { type: "COMPLETED" }, force: true });
          }
        },
      });
      assert.equal(watched.code, 0);
    });
  }

  test("credentials from the profile are used", async () => {
    await plane.cli(["config", "set", `PREFECT_API_AUTH_STRING=${AUTH_STRING}`]);

    assert.equal((await plane.cli(["work-pool", "ls"])).code, 0);
    assert.ok(!(await plane.cli(["config", "view"])).stdout.includes("correct-horse"));
  });
});
