import assert from "node:assert/strict";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, test } from "node:test";
import { findRegistryDigest, tagInRegistry } from "../../src/docker/registry.ts";
import type { RegistryCredentials } from "../../src/docker/registry-credentials.ts";

const DIGEST = `sha256:${"a".repeat(64)}`;
const MANIFEST = { "content-type": "application/vnd.oci.image.manifest.v1+json", "docker-content-digest": DIGEST };

interface FakeRegistry extends AsyncDisposable {
  host: string;
  /** `METHOD path authorization` */
  asked: string[];
  put: string[];
}

type Answer = (request: IncomingMessage, response: ServerResponse, url: URL) => void;

/** A registry at the border: it speaks the distribution protocol as far as a test says. */
async function startRegistry(answer: Answer): Promise<FakeRegistry> {
  const asked: string[] = [];
  const put: string[] = [];
  const server = createServer((request, response) => {
    const url = new URL(request.url ?? "/", `http://${request.headers.host}`);
    asked.push(`${request.method} ${url.pathname}${url.search} ${request.headers.authorization ?? "-"}`);
    request.setEncoding("utf8");
    let body = "";
    request.on("data", (text: string) => {
      body += text;
    });
    request.on("end", () => {
      put.push(...(request.method === "PUT" ? [`${request.headers["content-type"]} ${body}`] : []));
      answer(request, response, url);
    });
  });
  await new Promise<void>((resolve) => {
    server.listen(0, "127.0.0.1", resolve);
  });
  const { port } = server.address() as AddressInfo;
  return {
    host: `127.0.0.1:${port}`,
    asked,
    put,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => {
        server.close(resolve);
      });
    },
  };
}

/** As GHCR, Docker Hub and others do it: a realm gives a token for a scope. */
function withTokens(tokenFor: (authorization: string | undefined, url: URL) => string | undefined): Answer {
  return (request, response, url) => {
    if (url.pathname === "/token") {
      const token = tokenFor(request.headers.authorization, url);
      response.writeHead(token === undefined ? 401 : 200, { "content-type": "application/json" });
      response.end(JSON.stringify(token === undefined ? { errors: [{ code: "UNAUTHORIZED" }] } : { token }));
    } else if (request.headers.authorization?.startsWith("Bearer ") !== true) {
      const realm = `http://${request.headers.host}/token`;
      response.writeHead(401, { "www-authenticate": `Bearer realm="${realm}",service="registry.example"` });
      response.end();
    } else {
      response.writeHead(request.method === "PUT" ? 201 : 200, MANIFEST);
      response.end(request.method === "GET" ? '{"schemaVersion":2}' : undefined);
    }
  };
}

const access = { configDir: "/nonexistent", signal: new AbortController().signal };
const basic = (user: string, password: string) => `Basic ${Buffer.from(`${user}:${password}`).toString("base64")}`;
const credentialsOf = (host: string): RegistryCredentials => ({ username: "ada", password: "pw", serveraddress: host });

describe("a registry that gives tokens", () => {
  test("is asked for one with the credentials, for the repository and what is to be done with it", async () => {
    await using registry = await startRegistry(
      withTokens((given) => (given === basic("ada", "pw") ? "t1" : undefined)),
    );
    const image = `${registry.host}/acme/etl:v1`;

    const digest = await findRegistryDigest(access, { image, credentials: credentialsOf(registry.host) });

    assert.equal(digest, DIGEST);
    assert.deepEqual(registry.asked, [
      "HEAD /v2/acme/etl/manifests/v1 -",
      `GET /token?service=registry.example&scope=repository%3Aacme%2Fetl%3Apull ${basic("ada", "pw")}`,
      "HEAD /v2/acme/etl/manifests/v1 Bearer t1",
    ]);
  });

  test("gives one without credentials for what everybody may read", async () => {
    await using registry = await startRegistry(withTokens((given) => (given === undefined ? "anonymous" : undefined)));

    assert.equal(await findRegistryDigest(access, { image: `${registry.host}/acme/etl` }), DIGEST);
  });

  test("is asked with an identity token where a helper gave one", async () => {
    await using registry = await startRegistry(withTokens((given) => (given === undefined ? "t2" : undefined)));
    const credentials = { identitytoken: "refresh", serveraddress: registry.host };

    assert.equal(await findRegistryDigest(access, { image: `${registry.host}/acme/etl`, credentials }), DIGEST);
    assert.match(registry.asked[1] ?? "", /^POST \/token /);
  });

  test("that refuses the credentials is REGISTRY_LOGIN_REFUSED, without the password", async () => {
    await using registry = await startRegistry(withTokens(() => undefined));
    const image = `${registry.host}/acme/etl:v1`;

    await assert.rejects(findRegistryDigest(access, { image, credentials: credentialsOf(registry.host) }), (error) => {
      assert.ok(error instanceof Error && "code" in error);
      assert.equal(error.code, "REGISTRY_LOGIN_REFUSED");
      assert.ok(!error.message.includes("pw"));
      return true;
    });
  });

  test("puts the same manifest under another tag", async () => {
    await using registry = await startRegistry(withTokens(() => "t"));

    await tagInRegistry(access, { image: `${registry.host}/acme/etl@${DIGEST}` }, "latest");

    assert.ok(registry.asked.some((text) => text.includes("scope=repository%3Aacme%2Fetl%3Apull%2Cpush")));
    assert.ok(registry.asked.includes("PUT /v2/acme/etl/manifests/latest Bearer t"));
    assert.deepEqual(registry.put.at(-1), 'application/vnd.oci.image.manifest.v1+json {"schemaVersion":2}');
  });
});

describe("a registry that does not do what it is asked", () => {
  const failing: [number, string][] = [
    [403, "IMAGE_PULL_REFUSED"],
    [401, "REGISTRY_LOGIN_REFUSED"],
    [500, "REGISTRY_UNREACHABLE"],
    [503, "REGISTRY_UNREACHABLE"],
  ];
  for (const [status, code] of failing) {
    test(`with ${status} is ${code}, with its own words`, async () => {
      await using registry = await startRegistry((_, response) => {
        response.writeHead(status).end(JSON.stringify({ errors: [{ code: "SOME", message: "in its words" }] }));
      });

      await assert.rejects(findRegistryDigest(access, { image: `${registry.host}/acme/etl:v1` }), { code });
    });
  }

  test("with 429 is asked again after the time that it names", async () => {
    let asked = 0;
    await using registry = await startRegistry((_, response) => {
      asked += 1;
      response.writeHead(asked === 1 ? 429 : 200, asked === 1 ? { "retry-after": "0" } : MANIFEST).end();
    });

    assert.equal(await findRegistryDigest(access, { image: `${registry.host}/acme/etl:v1` }), DIGEST);
    assert.equal(asked, 2);
  });

  test("with 403 to a new tag is IMAGE_PUSH_REFUSED", async () => {
    await using registry = await startRegistry((request, response) => {
      response.writeHead(request.method === "PUT" ? 403 : 200, MANIFEST);
      response.end(request.method === "GET" ? "{}" : '{"errors":[{"code":"DENIED","message":"read only"}]}');
    });

    await assert.rejects(tagInRegistry(access, { image: `${registry.host}/acme/etl:v1` }, "v2"), {
      code: "IMAGE_PUSH_REFUSED",
      message: /403.*DENIED: read only/,
    });
  });

  test("with 404 has no such image, and one without a digest in its answer is not believed", async () => {
    await using registry = await startRegistry((_, response, url) => {
      response.writeHead(url.pathname.endsWith("/gone") ? 404 : 200).end();
    });

    assert.equal(await findRegistryDigest(access, { image: `${registry.host}/acme/etl:gone` }), undefined);
    await assert.rejects(findRegistryDigest(access, { image: `${registry.host}/acme/etl:v1` }), {
      code: "REGISTRY_UNREACHABLE",
    });
  });

  test("that never answers ends with the deploy's own signal", async () => {
    await using registry = await startRegistry(() => undefined);
    const stop = new AbortController();
    const asking = findRegistryDigest({ ...access, signal: stop.signal }, { image: `${registry.host}/acme/etl:v1` });
    setTimeout(() => stop.abort(), 50);

    await assert.rejects(asking, { name: "AbortError" });
  });

  test("whose token service answers with a page is no bug of ours", async () => {
    await using registry = await startRegistry((request, response, url) => {
      if (url.pathname === "/token") {
        response.writeHead(200, { "content-type": "text/html" }).end("<html>log in</html>");
        return;
      }
      response.writeHead(401, { "www-authenticate": `Bearer realm="http://${request.headers.host}/token"` }).end();
    });

    await assert.rejects(findRegistryDigest(access, { image: `${registry.host}/acme/etl:v1` }), {
      code: "REGISTRY_LOGIN_REFUSED",
    });
  });
});
