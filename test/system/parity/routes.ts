import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { z } from "zod";
import { buildTestPlane } from "../../support/build-test-plane.ts";
import { listRoutes } from "../../support/list-routes.ts";

const DOCS = join(import.meta.dirname, "../../../docs/prefect-api.md");
const OpenApi = z.object({ paths: z.record(z.string(), z.record(z.string(), z.unknown())) });

/** Every route that Prefect's server describes, its parameters without their names. */
export async function listTheirRoutes(apiUrl: string): Promise<string[]> {
  const answer = await fetch(new URL("/openapi.json", apiUrl));
  const { paths } = OpenApi.parse(await answer.json());
  return Object.entries(paths).flatMap(([path, methods]) =>
    Object.keys(methods).map((method) => nameRoute(method, path.replace(/^\/api(?=\/)/, ""))),
  );
}

export async function listOurRoutes(): Promise<Set<string>> {
  await using plane = await buildTestPlane();
  const routes = await listRoutes(plane);
  return new Set(routes.map(({ method, path }) => nameRoute(method, path.replace(/^\/api/, ""))));
}

/** The first cell of each row of the table of what is not there. */
export async function listLeftOut(): Promise<string[]> {
  const markdown = await readFile(DOCS, "utf8");
  return [...markdown.matchAll(/^\| `([A-Z]+) (\S+)`/gm)].map(([, method = "", path = ""]) => nameRoute(method, path));
}

function nameRoute(method: string, path: string): string {
  const plain = path.replaceAll(/\{[^}]*\}|:\w+/g, "{}").replace(/(?<=.)\/$/, "");
  return `${method.toUpperCase()} ${plain}`;
}
