// For the image's HEALTHCHECK: asks whatever this container runs. Plain JavaScript, started every few seconds.
import { readFileSync } from "node:fs";

const command = readFileSync("/proc/1/cmdline", "utf8").split("\0");
// biome-ignore lint/style/noProcessEnv: a program of its own, with nothing to share a config with
const env = process.env;

function findUrl() {
  if (command.includes("server")) {
    const flag = command.indexOf("--port");
    return `http://127.0.0.1:${flag > 0 ? command[flag + 1] : env.FLOWYARD_PORT || 4200}/api/health`;
  }
  if (command.includes("relay")) {
    return env.FLOWYARD_RELAY_PORT ? `http://127.0.0.1:${env.FLOWYARD_RELAY_PORT}/relay/health` : undefined;
  }
  return command.includes("--with-healthcheck")
    ? `http://127.0.0.1:${env.PREFECT_WORKER_WEBSERVER_PORT || 8080}/health`
    : undefined;
}

const url = findUrl();
// What serves nothing is healthy as long as it runs.
const isHealthy =
  url === undefined ||
  (await fetch(url).then(
    ({ ok }) => ok,
    () => false,
  ));
process.exitCode = isHealthy ? 0 : 1;
