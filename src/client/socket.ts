import { AUTH_SUCCESS, CLOSE_UNAUTHORIZED, SOCKET_SUBPROTOCOL } from "../prefect-api/socket-messages.ts";
import { TransientError, UserError } from "../shared/errors.ts";
import { buildCredentials } from "./credentials.ts";
import type { Connection } from "./http.ts";
import { FLOWYARD_VERSION } from "./version.ts";

const HANDSHAKE_TIMEOUT_MS = 10_000;

function buildSocketUrl(apiUrl: string, path: string): string {
  return apiUrl.replace(/^http/, "ws") + path;
}

export function describeClose(url: string, event: { code: number; reason: string }): UserError | TransientError {
  if (event.code === CLOSE_UNAUTHORIZED) {
    return new UserError("UNAUTHORIZED", `The control plane refused the credentials for ${url}.`, {
      hint: "Sockets take the value of PREFECT_API_AUTH_STRING.",
    });
  }
  const reason = event.reason === "" ? "" : `, ${event.reason}`;
  return new TransientError("PLANE_UNREACHABLE", `The stream ${url} was closed (code ${event.code}${reason}).`);
}

/** Opens a socket of Prefect's and authenticates. Resolves with a socket whose next frame is the path's own. */
export function openSocket(connection: Connection, path: string, signal: AbortSignal): Promise<WebSocket> {
  const url = buildSocketUrl(connection.apiUrl, path);
  const { authString, apiKey } = connection.credentials;
  const socket = new WebSocket(url, {
    protocols: [SOCKET_SUBPROTOCOL],
    headers: { "user-agent": `flowyard/${FLOWYARD_VERSION}`, ...buildCredentials(connection.credentials) },
  });
  return new Promise((resolve, reject) => {
    const limits = AbortSignal.any([signal, AbortSignal.timeout(HANDSHAKE_TIMEOUT_MS)]);
    const finish = (error?: Error) => {
      limits.removeEventListener("abort", onAbort);
      socket.removeEventListener("open", onOpen);
      socket.removeEventListener("message", onMessage);
      socket.removeEventListener("close", onClose);
      if (error === undefined) {
        resolve(socket);
        return;
      }
      socket.close();
      reject(error);
    };
    const onAbort = () => finish(new TransientError("PLANE_UNREACHABLE", `The stream ${url} did not open in time.`));
    const onOpen = () => socket.send(JSON.stringify({ type: "auth", token: authString ?? apiKey ?? null }));
    const onMessage = (event: MessageEvent) => {
      const accepted = isAuthSuccess(event.data);
      finish(accepted ? undefined : new TransientError("PLANE_UNREACHABLE", `The stream ${url} did not authenticate.`));
    };
    const onClose = (event: CloseEvent) => finish(describeClose(url, event));
    limits.addEventListener("abort", onAbort, { once: true });
    socket.addEventListener("open", onOpen);
    socket.addEventListener("message", onMessage);
    // A refused upgrade shows as `error` and then `close`; only the latter says why.
    socket.addEventListener("close", onClose);
    if (limits.aborted) {
      onAbort();
    }
  });
}

function isAuthSuccess(data: unknown): boolean {
  if (typeof data !== "string") {
    return false;
  }
  try {
    return JSON.parse(data)?.type === AUTH_SUCCESS.type;
  } catch {
    return false;
  }
}
