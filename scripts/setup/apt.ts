import { access } from "node:fs/promises";
import { PartMissing, say } from "./part.ts";
import { runCommand } from "./run-command.ts";

let installing: Promise<unknown> = Promise.resolve();

/**
 * Installs Debian packages; one call at a time, because dpkg holds a lock.
 * Throws PartMissing on another system or without root.
 */
export function installPackages(names: string[], purpose: string): Promise<void> {
  const next = installing.then(() => installNow(names, purpose));
  installing = next.catch(() => undefined);
  return next;
}

async function installNow(names: string[], purpose: string): Promise<void> {
  const packages = names.join(" ");
  const isDebian = await access("/etc/debian_version").then(
    () => true,
    () => false,
  );
  if (!isDebian) {
    throw new PartMissing(
      `${purpose} is not here and this is no Debian`,
      `install ${purpose} with your system's tools`,
    );
  }
  if (process.getuid?.() !== 0) {
    throw new PartMissing(
      `${purpose} is not here and installing it needs root`,
      `sudo apt-get install --no-install-recommends ${packages}`,
    );
  }
  say(`apt-get install ${packages}`);
  const install = () =>
    runCommand("apt-get", ["install", "--yes", "--no-install-recommends", ...names], {
      env: { DEBIAN_FRONTEND: "noninteractive" },
    });
  let result = await install();
  if (result.code !== 0) {
    // A new machine has no package lists yet. A foreign source that does not answer fails the update, not the install.
    await runCommand("apt-get", ["update", "--quiet"]);
    result = await install();
  }
  if (result.code !== 0) {
    throw new PartMissing(`apt-get install ${packages} failed:\n${result.tail}`, "repair apt, then run this again");
  }
}
