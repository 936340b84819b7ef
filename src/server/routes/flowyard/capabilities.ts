import packageJson from "../../../../package.json" with { type: "json" };
import type { Capabilities } from "../../../flowyard-api/releases.ts";
import type { App } from "../../app-deps.ts";

/** Only ever added to: clients ask for a name before they use what it stands for. */
const FEATURES = ["releases", "catch_up", "log_ids", "explain", "claims", "workers", "timeline"];

/** A server that answers 404 here is stock Prefect. */
export function registerCapabilities(api: App): void {
  const capabilities: Capabilities = { version: packageJson.version, features: FEATURES };
  api.get("/flowyard/capabilities", (_request, reply) => reply.send(capabilities));
}
