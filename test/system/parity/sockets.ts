const TIMEOUT_MS = 10_000;

export interface Play {
  name: string;
  path: string;
  frames: unknown[];
}

const auth = { type: "auth", token: null };
const event = {
  id: "22222222-2222-4222-8222-222222222222",
  occurred: "2026-01-01T00:00:00Z",
  event: "e",
  resource: { "prefect.resource.id": "x" },
};

export const plays: Play[] = ["/events/in", "/events/out", "/logs/out"].flatMap((path) => [
  { name: `${path}: authenticates`, path, frames: [auth] },
  { name: `${path}: says something else first`, path, frames: [{ type: "hello" }] },
  { name: `${path}: sends a token that nobody asked for`, path, frames: [{ type: "auth", token: "t" }] },
  { name: `${path}: goes on`, path, frames: [auth, path === "/events/in" ? event : { type: "filter", filter: {} }] },
]);

/** What a client sees: the subprotocol, the first message, and the close code if the server closes before that. */
export function playSocket(apiUrl: string, { path, frames }: Play): Promise<string> {
  return new Promise((resolve, reject) => {
    const socket = new WebSocket(`${apiUrl.replace(/^http/, "ws")}${path}`, ["prefect"]);
    const timer = setTimeout(() => reject(new Error(`${path} said nothing`)), TIMEOUT_MS);
    const end = (seen: string) => {
      clearTimeout(timer);
      resolve(`${socket.protocol}: ${seen}`);
      socket.close();
    };
    socket.addEventListener("open", () => {
      for (const frame of frames) {
        socket.send(JSON.stringify(frame));
      }
    });
    socket.addEventListener("message", ({ data }) => end(String(data)));
    socket.addEventListener("close", ({ code, reason }) => end(`${code} ${reason}`));
  });
}
