import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { errorMessage } from "../src/shared/errors.ts";
import { type Logger, silentLogger } from "../src/shared/logger.ts";
import { findProcessStart } from "./runs/process-identity.ts";
import { readParsed, removeFile, sweepDrafts, writeFirst, writeWhole } from "./whole-files.ts";

const Registration = z.object({ pid: z.number(), started: z.string() });

/** A run that a worker is about to ask for; gone again as soon as there is a container or process, or an answer. */
const Claim = z.object({
  flow_run_id: z.string(),
  work_pool_name: z.string(),
  attempt: z.string(),
  worker_instance: z.string(),
  fencing_token: z.number().optional(),
});
export type Claim = z.infer<typeof Claim>;

/** An image that a worker of this machine pulled. */
const PulledImage = z.object({ image: z.string(), pulled_at: z.string() });
export type PulledImage = z.infer<typeof PulledImage>;

const Owner = z.object({ instance: z.string() });

const RunNote = z.object({
  /** Up to here the output is at the plane. */
  position: z.object({ stdout: z.string().optional(), stderr: z.string().optional() }),
  shippedCharacters: z.number().default(0),
  /** Output and end are at the plane: what is left may be removed. */
  isDone: z.boolean().default(false),
});
export type RunNote = z.infer<typeof RunNote>;

/**
 * A folder of this machine that the workers on it share. It spares work and time after a restart; without it nothing is
 * lost, because containers and their labels are the truth. Safe to use from several workers at once.
 */
export interface WorkerHome {
  /** Names the folder: two workers that know the same name are on one machine. */
  id: string;
  /** Names this start of this worker. */
  instance: string;
  /** Whether a worker of this folder still runs. */
  isAlive(instance: string): Promise<boolean>;
  /** Whether any other worker of this folder still runs. */
  hasLivingWorkers(): Promise<boolean>;
  findNote(key: string): Promise<RunNote | undefined>;
  /** As all that notes something: never throws. */
  saveNote(key: string, note: RunNote): Promise<void>;
  dropNote(key: string): Promise<void>;
  /** Becomes the one on this machine who looks after a run; false when another worker that lives has done so. */
  takeOver(key: string): Promise<boolean>;
  notePulled(image: string): Promise<void>;
  listPulled(): Promise<PulledImage[]>;
  dropPulled(image: string): Promise<void>;
  saveClaim(claim: Claim): Promise<void>;
  dropClaim(attempt: string): Promise<void>;
  listClaims(): Promise<Claim[]>;
  /** Removes what workers that were killed left half written, and old notes but those of the runs of these keys. */
  sweep(keys: Iterable<string>): Promise<void>;
  /** Signs off; what others started or is still running stays noted. */
  close(): Promise<void>;
}

/**
 * Throws what the file system throws when nothing can be written there. Later on a full disk only costs what the notes
 * spare: the log tells of it once, and again when it is over.
 */
export async function openWorkerHome(folder: string, logger: Logger = silentLogger): Promise<WorkerHome> {
  const write = createLenientWriter(logger);
  const workers = join(folder, "workers");
  const runs = join(folder, "runs");
  const claims = join(folder, "claims");
  const images = join(folder, "images");
  for (const path of [workers, runs, claims, images]) {
    await mkdir(path, { recursive: true, mode: 0o700 });
  }
  await writeFirst(join(folder, "id"), randomUUID());
  const id = await readFile(join(folder, "id"), "utf8");
  const instance = randomUUID();
  await writeWhole(join(workers, `${instance}.json`), {
    pid: process.pid,
    started: (await findProcessStart(process.pid)) ?? "",
  });
  const runFile = (key: string, what: string) => join(runs, `${hashName(key)}.${what}.json`);
  const noteFile = (key: string) => runFile(key, "note");
  const ownerFile = (key: string) => runFile(key, "owner");
  const isAlive = (other: string) => isRegistered(join(workers, `${other}.json`));
  for (const name of await listFiles(workers)) {
    if (!(await isRegistered(join(workers, name)))) {
      await removeFile(join(workers, name));
    }
  }
  return {
    id,
    instance,
    isAlive,
    hasLivingWorkers: async () => {
      const others = (await listFiles(workers)).filter((name) => name !== `${instance}.json`);
      const alive = await Promise.all(others.map((name) => isRegistered(join(workers, name))));
      return alive.includes(true);
    },
    findNote: (key) => readParsed(noteFile(key), RunNote),
    saveNote: (key, note) => write(noteFile(key), note),
    dropNote: async (key) => {
      await removeFile(noteFile(key));
      await removeFile(ownerFile(key));
    },
    takeOver: async (key) => {
      const owner = await readParsed(ownerFile(key), Owner);
      if (owner !== undefined && owner.instance !== instance && (await isAlive(owner.instance))) {
        return false;
      }
      await write(ownerFile(key), { instance });
      // Of several that write at the same moment the last one stays. Nobody could note it where the disk is full.
      return ((await readParsed(ownerFile(key), Owner)) ?? { instance }).instance === instance;
    },
    notePulled: (image) =>
      write(join(images, `${hashName(image)}.json`), { image, pulled_at: new Date().toISOString() }),
    listPulled: () => readAll(images, PulledImage),
    dropPulled: (image) => removeFile(join(images, `${hashName(image)}.json`)),
    saveClaim: (claim) => write(join(claims, `${claim.attempt}.json`), claim),
    dropClaim: (attempt) => removeFile(join(claims, `${attempt}.json`)),
    listClaims: () => readAll(claims, Claim),
    sweep: async (keys) => {
      for (const path of [workers, runs, claims, images]) {
        await sweepDrafts(path);
      }
      const kept = new Set([...keys].map(hashName));
      await sweepOld(runs, async (name) => {
        const owner = await readParsed(join(runs, `${name}.owner.json`), Owner);
        return kept.has(name) || (owner !== undefined && (await isAlive(owner.instance)));
      });
    },
    close: () => removeFile(join(workers, `${instance}.json`)),
  };
}

/**
 * How long a note of a run stays that nobody sees any more: it was removed by hand, or is one of another pool, whose
 * worker would send its output once more from the start, which is stored once.
 */
const OLD_MS = 7 * 24 * 3_600_000;

async function sweepOld(folder: string, isKept: (name: string) => Promise<boolean>): Promise<void> {
  for (const file of await listFiles(folder)) {
    const path = join(folder, file);
    const written = await stat(path).catch(() => undefined);
    const isOld = written !== undefined && Date.now() - written.mtimeMs > OLD_MS;
    if (isOld && !(await isKept(file.split(".", 1)[0] ?? ""))) {
      await removeFile(path);
    }
  }
}

/** Without the drafts that others are about to rename. */
async function listFiles(folder: string): Promise<string[]> {
  return (await readdir(folder)).filter((name) => name.endsWith(".json"));
}

async function readAll<S extends z.ZodType>(folder: string, schema: S): Promise<z.output<S>[]> {
  const names = await listFiles(folder);
  const found = await Promise.all(names.map((name) => readParsed(join(folder, name), schema)));
  return found.filter((value) => value !== undefined);
}

/** A name of any length and letters as a file's. */
function hashName(name: string): string {
  return createHash("sha256").update(name).digest("hex").slice(0, 32);
}

async function isRegistered(path: string): Promise<boolean> {
  const registration = await readParsed(path, Registration);
  return registration !== undefined && (await findProcessStart(registration.pid)) === registration.started;
}

function createLenientWriter(logger: Logger): typeof writeWhole {
  let isFailing = false;
  return async (path, value) => {
    try {
      await writeWhole(path, value);
      if (isFailing) {
        logger.info({ path }, "The worker's folder can be written again");
      }
      isFailing = false;
    } catch (error) {
      if (!isFailing) {
        logger.warn({ reason: errorMessage(error) }, "The worker's folder cannot be written; it goes on without notes");
      }
      isFailing = true;
    }
  };
}
