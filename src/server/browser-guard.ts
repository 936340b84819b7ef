import { isIP } from "node:net";
import type { FastifyReply, FastifyRequest } from "fastify";

/** Domains that nobody can register, so that no page on the web can be served under a name in them. */
const PRIVATE_DOMAINS: ReadonlySet<string> = new Set(["localhost", "local", "internal", "test", "lan", "arpa"]);

/**
 * Keeps pages in a browser of the same machine from using the plane: any page may send a POST to a loopback address,
 * and a page whose own name is made to point there may read the answers as well. Clients that are no browsers send no
 * Origin, and reach the plane by an address or by a private name.
 */
export function buildBrowserGuard({ hasCredentials }: { hasCredentials: boolean }) {
  return (request: FastifyRequest, reply: FastifyReply, done: () => void): void => {
    const { origin, host } = request.headers;
    if (origin !== undefined && parseHost(origin) !== host?.toLowerCase()) {
      refuse(
        reply,
        "FOREIGN_ORIGIN",
        `A page of ${origin} may not use this control plane: it only serves its own pages.`,
      );
    } else if (!hasCredentials && !isPrivateHost(host ?? "")) {
      // With credentials such a page has none: browsers do not send what they were given for another name.
      refuse(
        reply,
        "FOREIGN_HOST",
        `This control plane asks for no credentials, so it does not answer to the public name "${host}". Use its address, or start it with FLOWYARD_AUTH_STRING.`,
      );
    } else {
      done();
    }
  };
}

/** Host and port of an Origin; undefined for `null` and all that is no address. */
function parseHost(origin: string): string | undefined {
  return URL.canParse(origin) ? new URL(origin).host : undefined;
}

/** An address, a name without a dot (containers, machines of the local network), or one in a private domain. */
function isPrivateHost(host: string): boolean {
  if (host === "") {
    return true;
  }
  const name = URL.canParse(`http://${host}`) ? new URL(`http://${host}`).hostname.replace(/\.$/, "") : host;
  const labels = name.split(".");
  return (
    isIP(name.replace(/^\[|\]$/g, "")) !== 0 ||
    labels.length === 1 ||
    PRIVATE_DOMAINS.has(labels.at(-1)?.toLowerCase() ?? "")
  );
}

function refuse(reply: FastifyReply, code: "FOREIGN_ORIGIN" | "FOREIGN_HOST", detail: string): void {
  void reply.code(403).send({ detail, code });
}
