import assert from "node:assert/strict";
import { test } from "node:test";
import { loadWorkerSettings } from "../../worker/config.ts";
import { selectRunSettings } from "../../worker/jobs/job.ts";

test("every wrong variable is named at once, with what was read and what is allowed", () => {
  const environment = { PREFECT_API_URL: "plane", FLOWYARD_WORKER_POLL_SECONDS: "often", FLOWYARD_LOG_FORMAT: "xml" };

  assert.throws(() => loadWorkerSettings({ pool: "p" }, environment), {
    code: "CONFIG_INVALID",
    message:
      /PREFECT_API_URL is "plane": it must be .*\nFLOWYARD_WORKER_POLL_SECONDS is "often": .*\nFLOWYARD_LOG_FORMAT is "xml": .*"text" or "json"/,
  });
});

test("flags win over defaults, and an empty variable counts as unset", () => {
  const settings = loadWorkerSettings(
    { pool: "p", name: "w", limit: 3, prefetchSeconds: 0 },
    { PREFECT_API_URL: "http://127.0.0.1:4200/api", PREFECT_API_KEY: "", FLOWYARD_WORKER_POLL_SECONDS: "" },
  );

  assert.equal(settings.name, "w");
  assert.equal(settings.limit, 3);
  assert.equal(settings.prefetchSeconds, 0);
  assert.equal(settings.pollSeconds, 0.5);
  assert.equal(settings.api.apiKey, undefined);
});

test("a base job template that cannot be read is named", () => {
  assert.throws(
    () => loadWorkerSettings({ pool: "p", baseJobTemplateFile: "/none.json" }, { PREFECT_API_URL: "http://x/api" }),
    { code: "CONFIG_INVALID", message: /\/none\.json/ },
  );
});

test("runs get the worker's Prefect settings, but none of the server's, of this machine, or of another run", () => {
  const settings = selectRunSettings({
    PREFECT_API_URL: "http://x/api",
    PREFECT_API_AUTH_STRING: "a:b",
    PREFECT_LOGGING_LEVEL: "DEBUG",
    PREFECT_HOME: "/var/prefect",
    PREFECT_PROFILES_PATH: "/var/profiles.toml",
    PREFECT_SERVER_DATABASE_PASSWORD: "secret",
    PREFECT_API_DATABASE_CONNECTION_URL: "postgres://secret",
    PREFECT__FLOW_RUN_ID: "other",
    PATH: "/bin",
  });

  assert.deepEqual(settings, {
    PREFECT_API_URL: "http://x/api",
    PREFECT_API_AUTH_STRING: "a:b",
    PREFECT_LOGGING_LEVEL: "DEBUG",
  });
});
