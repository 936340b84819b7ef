import { createRequire, Module } from "node:module";

/**
 * dockerode loads ssh2 and gRPC when it is loaded: 30 MB and a tenth of a second for what only `ssh://` engines and
 * builds need. Two of its modules are put off until somebody calls them. To be imported before dockerode; where there
 * are no modules to put off (in a bundle) it does nothing.
 */
function deferModule(require: NodeJS.Require, path: string): void {
  const stub = new Module(path);
  stub.filename = path;
  stub.loaded = true;
  stub.exports = (...args: unknown[]): unknown => {
    delete require.cache[path];
    return require(path)(...args);
  };
  require.cache[path] = stub;
}

function deferHeavyModules(): void {
  try {
    const dockerode = createRequire(createRequire(import.meta.url).resolve("dockerode"));
    deferModule(dockerode, dockerode.resolve("./session"));
    const modem = createRequire(dockerode.resolve("docker-modem"));
    deferModule(modem, modem.resolve("./ssh"));
  } catch {
    // A bundle has everything in one file and resolves nothing.
  }
}

deferHeavyModules();
