import assert from "node:assert/strict";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { test } from "node:test";
import { runCommand } from "../../../scripts/setup/run-command.ts";
import { Spool } from "../../../worker/relay/spool.ts";

const isRoot = process.getuid?.() === 0;

test("a disk without room refuses lines, and spoils none of those before and after", {
  skip: isRoot ? false : "only root can make a disk that is full",
}, async () => {
  const folder = await mkdtemp(join(tmpdir(), "flowyard-spool-"));
  assert.equal((await runCommand("mount", ["-t", "tmpfs", "-o", "size=64k", "tmpfs", folder])).code, 0);
  try {
    const spool = new Spool(join(folder, "spool"), {
      maxBytes: 1024 * 1024,
      maxBytesPerOwner: 1024 * 1024,
      ownerOf: () => undefined,
    });
    assert.equal(spool.append(["before"]), true);
    assert.equal(spool.append(["x".repeat(200_000)]), false);
    assert.equal(spool.append(["after"]), true);

    assert.deepEqual(spool.read().lines, ["before", "after"]);
    spool.close();
  } finally {
    await runCommand("umount", [folder]);
    await rm(folder, { recursive: true, force: true });
  }
});
