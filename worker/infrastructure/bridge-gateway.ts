import { createServer } from "node:net";
import { hostname } from "node:os";
import { z } from "zod";
import type { Engine } from "../../src/docker/engine.ts";

const Network = z.object({
  IPAM: z.object({ Config: z.array(z.object({ Gateway: z.string().optional() })).nullish() }),
});

const Info = z.object({ Name: z.string() });

/**
 * The address by which containers of the default bridge reach this machine (`host-gateway`). Undefined where it is not
 * an address of this machine: Docker Desktop hands `host.docker.internal` on to its loopback.
 */
export async function findBridgeGateway({ docker }: Pick<Engine, "docker">): Promise<string | undefined> {
  const network: unknown = await docker
    .getNetwork("bridge")
    .inspect()
    .catch(() => undefined);
  const configs = Network.safeParse(network).data?.IPAM.Config ?? [];
  const gateway = configs.map(({ Gateway }) => Gateway).find((address) => address !== undefined);
  return gateway !== undefined && (await isOwnAddress(gateway)) ? gateway : undefined;
}

/** An engine without a bridge still gives containers its machine's network; a worker in a container is elsewhere. */
export async function isOnThisMachine({ docker }: Pick<Engine, "docker">): Promise<boolean> {
  const info: unknown = await docker.info().catch(() => undefined);
  return Info.safeParse(info).data?.Name === hostname();
}

/** By listening there: a bridge without containers is not among the interfaces that Node lists. */
function isOwnAddress(host: string): Promise<boolean> {
  return new Promise((resolve) => {
    const server = createServer();
    server.once("error", () => resolve(false));
    server.listen({ host, port: 0 }, () => server.close(() => resolve(true)));
  });
}
