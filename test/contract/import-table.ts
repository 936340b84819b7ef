import { readdir, readFile } from "node:fs/promises";
import { join, relative } from "node:path";

export interface Room {
  name: string;
  folder: string;
  mayImport: Set<string>;
  mayImportTypes: Set<string>;
  packages: Set<string>;
}

interface SourceFile {
  /** Path from the root of the checkout. */
  path: string;
  text: string;
}

interface Import {
  specifier: string;
  typeOnly: boolean;
}

/** What every room may use: parsing is everybody's duty, and Node's own modules have no owner unless the table says so. */
const COMMON_PACKAGES = new Set(["zod"]);

/** Reads the room table of docs/architecture.md. */
export function parseImportTable(markdown: string): Room[] {
  const lines = markdown.split("\n");
  const start = lines.findIndex((line) => /^\| room \| folder \|/.test(line));
  const rows = lines.slice(start + 2);
  const end = rows.findIndex((line) => !line.startsWith("|"));
  return rows.slice(0, end === -1 ? undefined : end).map((row) => {
    const [name = "", folder = "", imports = "", packages = ""] = row
      .split("|")
      .slice(1)
      .map((cell) => cell.trim());
    const allowed = splitCell(imports);
    return {
      name,
      folder,
      mayImport: new Set(allowed.filter((entry) => !entry.includes("("))),
      mayImportTypes: new Set(allowed.map((entry) => entry.replace(" (types)", ""))),
      packages: new Set(splitCell(packages)),
    };
  });
}

function splitCell(cell: string): string[] {
  return cell === "–" || cell === "" ? [] : cell.split(",").map((entry) => entry.trim());
}

/** One sentence for each import that the table does not allow. */
export function findViolations(rooms: Room[], files: SourceFile[]): string[] {
  const owned = new Set(rooms.flatMap((room) => [...room.packages]));
  return files.flatMap((file) => {
    const room = findRoom(rooms, file.path);
    if (room === undefined) {
      return [`${file.path}: its folder has no row in the table`];
    }
    return listImports(file.text).flatMap((found) => {
      const problem = found.specifier.startsWith(".")
        ? checkRoomImport(rooms, room, file.path, found)
        : checkPackageImport(room, owned, found.specifier);
      return problem === null ? [] : [`${file.path}: ${problem}`];
    });
  });
}

function findRoom(rooms: Room[], path: string): Room | undefined {
  return rooms.find((room) => path.startsWith(`${room.folder}/`));
}

/** Static, dynamic and side-effect imports, and re-exports. */
function listImports(text: string): Import[] {
  const statement = /^\s*(import|export)\s+(type\s)?[^;'"]*?from\s*["']([^"']+)["']|^\s*import\s*["']([^"']+)["']/gm;
  const dynamic = /\bimport\(\s*["']([^"']+)["']\s*\)/g;
  return [
    ...[...text.matchAll(statement)].map((match) => ({
      specifier: match[3] ?? match[4] ?? "",
      typeOnly: match[2] !== undefined,
    })),
    ...[...text.matchAll(dynamic)].map((match) => ({ specifier: match[1] ?? "", typeOnly: false })),
  ];
}

function checkRoomImport(rooms: Room[], room: Room, path: string, found: Import): string | null {
  const target = join(path, "..", found.specifier);
  if (target === "package.json") {
    return null; // the one place of our version
  }
  const targetRoom = findRoom(rooms, target);
  if (targetRoom === undefined) {
    return `imports ${target}, which is in no room`;
  }
  const allowed = found.typeOnly ? room.mayImportTypes : room.mayImport;
  if (targetRoom === room || allowed.has(targetRoom.name)) {
    return null;
  }
  return `${room.name} must not import ${targetRoom.name}${found.typeOnly ? "" : " (other than what the table allows)"}`;
}

function checkPackageImport(room: Room, owned: Set<string>, specifier: string): string | null {
  const name = specifier.startsWith("node:")
    ? specifier
    : specifier
        .split("/")
        .slice(0, specifier.startsWith("@") ? 2 : 1)
        .join("/");
  if (COMMON_PACKAGES.has(name) || room.packages.has(name)) {
    return null;
  }
  if (name.startsWith("node:") && !owned.has(name)) {
    return null;
  }
  return `${room.name} does not own the package ${name}`;
}

export async function readSources(root: string): Promise<SourceFile[]> {
  const folders = await Promise.all(["src", "worker"].map((folder) => readFolder(root, join(root, folder))));
  return folders.flat();
}

async function readFolder(root: string, folder: string): Promise<SourceFile[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const sources = entries.filter((entry) => entry.isFile() && entry.name.endsWith(".ts"));
  return Promise.all(
    sources.map(async (entry) => {
      const path = join(entry.parentPath, entry.name);
      return { path: relative(root, path), text: await readFile(path, "utf8") };
    }),
  );
}
