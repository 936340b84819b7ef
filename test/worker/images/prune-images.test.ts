import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after, before, describe, test } from "node:test";
import { silentLogger } from "../../../src/shared/logger.ts";
import { pruneImages } from "../../../worker/images/prune-images.ts";
import { openWorkerHome, type WorkerHome } from "../../../worker/worker-home.ts";
import { startFakeDocker } from "../../support/fake-docker.ts";
import { deployment } from "../jobs/job-examples.ts";

const PULLED = [
  "r.example/old:1",
  "r.example/named:1",
  "r.example/default:1",
  "r.example/written:1",
  "r.example/used:1",
  "r.example/young:1",
];
const TEMPLATES = [
  {
    job_configuration: { image: "{{ image }}" },
    variables: { properties: { image: { default: "r.example/default:1" } } },
  },
  { job_configuration: { image: "r.example/written:1" }, variables: { properties: {} } },
];

describe("a disk that is nearly full", () => {
  let folder = "";
  let home: WorkerHome;
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "flowyard-home-"));
    home = await openWorkerHome(folder);
  });
  after(async () => {
    await home.close();
    await rm(folder, { recursive: true });
  });

  /** Each removal makes ten percent free. Answers what the engine was asked to remove. */
  async function prune(usedPercent: number): Promise<string[]> {
    for (const [index, image] of PULLED.entries()) {
      await home.notePulled(image);
      await new Promise((resolve) => setTimeout(resolve, index + 2)); // a later time
    }
    let used = usedPercent;
    const removed: string[] = [];
    await using fake = await startFakeDocker(({ method, path }) => {
      if (method !== "DELETE") {
        return undefined;
      }
      const image = decodeURIComponent(path.replace("/images/", ""));
      removed.push(image);
      if (image.includes("used")) {
        return { status: 409, json: { message: "conflict: unable to remove: container is using it" } };
      }
      used -= 10;
      return { status: 200, json: [] };
    });
    await pruneImages({
      client: {
        deployments: {
          list: () => Promise.resolve([{ ...deployment, job_variables: { image: "r.example/named:1" } }]),
        },
        workPools: {
          list: () => Promise.resolve(TEMPLATES.map((base_job_template) => ({ base_job_template }))),
        },
      },
      engine: await fake.connect(),
      home,
      highPercent: 85,
      logger: silentLogger,
      readUsedPercent: () => Promise.resolve(used),
    });
    return removed;
  }

  test("nothing is removed below the mark", async () => {
    assert.deepEqual(await prune(84), []);
  });

  test("the oldest images go until there is room, and never one that is named", async () => {
    assert.deepEqual(await prune(86), ["r.example/old:1"]);
    assert.deepEqual(
      (await home.listPulled()).map(({ image }) => image).toSorted(),
      PULLED.filter((image) => !image.includes("old")).toSorted(),
    );
  });

  test("an image that a container has stays, and is tried again another time", async () => {
    assert.deepEqual(await prune(99), ["r.example/old:1", "r.example/used:1", "r.example/young:1"]);
    assert.deepEqual((await home.listPulled()).map(({ image }) => image).toSorted(), [
      "r.example/default:1",
      "r.example/named:1",
      "r.example/used:1",
      "r.example/written:1",
    ]);
  });
});
