import assert from "node:assert/strict";
import { after, before, describe, test } from "node:test";
import { z } from "zod";
import { commonEnv, findEvent } from "../support/action-process.ts";
import { operations } from "../support/fake-github/description.ts";
import type { Json } from "../support/fake-github/json.ts";
import { buildClaims } from "../support/fake-github/oidc.ts";
import { type FakeGithub, implementations, startFakeGithub } from "../support/fake-github/server.ts";
import type { TokenPermissions } from "../support/fake-github/tokens.ts";
import { pick, readEvent } from "../support/fake-github/world.ts";
import { examples, furnish } from "./fake-requests.ts";

const repo = "/repos/Octocoders/Hello-World";
const ALL: TokenPermissions = {
  contents: "write",
  pull_requests: "write",
  issues: "write",
  checks: "write",
  statuses: "write",
  deployments: "write",
  actions: "write",
};

interface Request {
  method?: string;
  path: string;
  body?: Json;
  text?: string;
  headers?: Record<string, string>;
}

function ask(github: FakeGithub, token: string, { method = "GET", path, body, text, headers }: Request) {
  const sent = text ?? (body === undefined ? undefined : JSON.stringify(body));
  return fetch(`${github.url}${path}`, {
    method,
    redirect: "manual",
    headers: { authorization: `token ${token}`, "user-agent": "test", ...headers },
    ...(sent === undefined ? {} : { body: sent }),
  });
}

async function withGithub(run: (github: FakeGithub, ask: (request: Request) => Promise<Response>) => Promise<void>) {
  await using github = await startFakeGithub();
  furnish(github.world);
  const token = github.issueToken(ALL);
  await run(github, (request) => ask(github, token, request));
  assert.deepEqual(github.problems, []);
}

const Problem = z.object({ message: z.string(), status: z.string() });
const Identified = z.object({ id: z.number() });
const Check = z.object({ output: z.object({ annotations_count: z.number() }) });

describe("the fake GitHub", () => {
  test("every operation that it has is in GitHub's description and has an example", () => {
    const known = new Set(operations.map((operation) => operation.id));

    assert.deepEqual(Object.keys(implementations).sort(), Object.keys(examples).sort());
    assert.deepEqual(
      Object.keys(implementations).filter((id) => !known.has(id)),
      [],
    );
  });

  for (const [id, example] of Object.entries(examples)) {
    test(`${id}: answers as described, only with one of the permission sets`, async () => {
      const operation = operations.find((it) => it.id === id);
      assert.ok(operation !== undefined);
      const sets = operation.permissions.length === 0 ? [{}] : operation.permissions;

      for (const permissions of sets) {
        await using github = await startFakeGithub();
        furnish(github.world);
        const granted = z.record(z.string(), z.enum(["read", "write"])).parse(permissions);

        const answer = await ask(github, github.issueToken(granted), example);

        assert.equal(answer.status, example.status, await answer.text());
        assert.deepEqual(github.problems, []);
        assert.deepEqual(
          github.calls.map((call) => call.operation?.id),
          [id],
        );
      }
      if (sets.some((set) => Object.keys(set).every((name) => name === "metadata"))) {
        return;
      }
      await using github = await startFakeGithub();
      const refused = await ask(github, github.issueToken({}), example);

      assert.equal(refused.status, 403);
      assert.equal(Problem.parse(await refused.json()).message, "Resource not accessible by integration");
      const accepted = sets.map((set) => Object.entries(set).map((it) => it.join("=")));
      assert.equal(refused.headers.get("x-accepted-github-permissions"), accepted.join("; "));
    });
  }

  test("lists come in pages of 30, at most 100, with links to the others", () =>
    withGithub(async (github, get) => {
      for (let index = 0; index < 130; index += 1) {
        github.world.addComment(4, "hubot", `comment ${index}`);
      }

      const first = await get({ path: `${repo}/issues/4/comments` });
      const second = await get({ path: `${repo}/issues/4/comments?per_page=1000&page=2` });

      assert.equal(z.array(Identified).parse(await first.json()).length, 30);
      assert.match(first.headers.get("link") ?? "", /page=2>; rel="next", .*page=5>; rel="last"/);
      assert.equal(z.array(Identified).parse(await second.json()).length, 30);
      assert.match(second.headers.get("link") ?? "", /page=1>; rel="prev", .*page=1>; rel="first"/);
    }));

  test("an unchanged answer is a 304 that costs nothing", () =>
    withGithub(async (_github, get) => {
      const first = await get({ path: `${repo}/issues/2` });
      const second = await get({
        path: `${repo}/issues/2`,
        headers: { "if-none-match": first.headers.get("etag") ?? "" },
      });

      assert.equal(second.status, 304);
      assert.equal(second.headers.get("x-ratelimit-remaining"), first.headers.get("x-ratelimit-remaining"));
    }));

  test("an empty hour is refused with the time of the next", () =>
    withGithub(async (github, get) => {
      github.rate.remaining = 0;

      const refused = await get({ path: repo });

      assert.equal(refused.status, 403);
      assert.equal(refused.headers.get("x-ratelimit-remaining"), "0");
      assert.ok(Number(refused.headers.get("x-ratelimit-reset")) > Date.now() / 1000);
    }));

  for (const status of [403, 429]) {
    test(`a planned ${status} says when to come back, as often as the test wants`, () =>
      withGithub(async (github, get) => {
        github.fail({ operation: "repos/get", status, headers: { "retry-after": "1" }, times: 1 });

        const refused = await get({ path: repo });
        const answered = await get({ path: repo });

        assert.deepEqual([refused.status, refused.headers.get("retry-after"), answered.status], [status, "1", 200]);
      }));
  }

  for (const [what, request, status, message] of [
    ["a trailing slash", { path: `${repo}/issues/` }, 404, /Not Found/],
    ["an unknown path", { path: "/graphql" }, 404, /Not Found/],
    ["another repository", { path: "/repos/Octocoders/Other" }, 404, /Not Found/],
    ["no User-Agent", { path: repo, headers: { "user-agent": "" } }, 403, /User-Agent/],
    ["a wrong token", { path: repo, headers: { authorization: "token ghs_wrong" } }, 401, /Bad credentials/],
    ["an unknown version", { path: repo, headers: { "x-github-api-version": "2020-01-01" } }, 400, /version/],
    ["broken JSON", { method: "POST", path: `${repo}/issues`, text: "{" }, 400, /Problems parsing JSON/],
    ["a wrong type", { method: "POST", path: `${repo}/issues/2/comments`, body: { body: 1 } }, 422, /Invalid request/],
    [
      "a wrong reaction",
      { method: "POST", path: `${repo}/issues/comments/492700400/reactions`, body: { content: "no" } },
      422,
      /Invalid/,
    ],
    ["an unknown commit", { path: `${repo}/commits/${"0".repeat(40)}` }, 422, /Validation/],
    [
      "too many payload keys",
      {
        method: "POST",
        path: `${repo}/dispatches`,
        body: { event_type: "a", client_payload: Object.fromEntries(Array.from("abcdefghijk", (it) => [it, 1])) },
      },
      422,
      /10|propert/,
    ],
    ["a job token as a user", { path: "/user" }, 403, /not accessible/],
    ["a default auto_merge", { method: "POST", path: `${repo}/deployments`, body: { ref: "main" } }, 409, /Conflict/],
  ] as const) {
    test(`${what} gets ${status}`, () =>
      withGithub(async (_github, get) => {
        const answer = await get(request);

        assert.equal(answer.status, status);
        const problem = Problem.parse(await answer.json());
        assert.match(problem.message, message);
        assert.equal(problem.status, String(status));
      }));
  }

  test("a comment of 65,536 characters is taken, one more is not", () =>
    withGithub(async (_github, get) => {
      const post = (length: number) =>
        get({ method: "POST", path: `${repo}/issues/2/comments`, body: { body: "x".repeat(length) } });

      const [fits, tooLong] = [await post(65_536), await post(65_537)];

      assert.deepEqual([fits.status, tooLong.status], [201, 422]);
      assert.match(await tooLong.text(), /"code":"custom".*body is too long/);
    }));

  test("fifty annotations go into a request, later ones are added, more are refused", () =>
    withGithub(async (_github, get) => {
      const annotation = { path: "a.py", start_line: 1, end_line: 1, annotation_level: "notice", message: "m" };
      const patch = (count: number) => {
        const output = { title: "t", summary: "s", annotations: Array.from({ length: count }, () => annotation) };
        return get({ method: "PATCH", path: `${repo}/check-runs/1`, body: { output } });
      };

      const [fits, tooMany] = [await patch(50), await patch(51)];

      assert.equal(Check.parse(await fits.json()).output.annotations_count, 51);
      assert.equal(tooMany.status, 422);
    }));

  test("a repeated reaction is 200", () =>
    withGithub(async (_github, get) => {
      const react = () =>
        get({ method: "POST", path: `${repo}/issues/comments/492700400/reactions`, body: { content: "+1" } });

      assert.deepEqual([(await react()).status, (await react()).status], [201, 200]);
    }));

  test("mergeability is unknown at first", () =>
    withGithub(async (_github, get) => {
      const Merge = z.object({ mergeable: z.boolean().nullable() });
      const first = Merge.parse(await (await get({ path: `${repo}/pulls/2` })).json());
      const second = Merge.parse(await (await get({ path: `${repo}/pulls/2` })).json());

      assert.deepEqual([first.mergeable, second.mergeable], [null, true]);
    }));

  test("a deleted fork is null, against the description", () =>
    withGithub(async (github, get) => {
      github.world.addPull(pick(readEvent("pull_request.closed-fork-deleted.json"), "pull_request"));

      const answer = z
        .object({ head: z.object({ repo: z.null() }) })
        .safeParse(await (await get({ path: `${repo}/pulls/3` })).json());

      assert.ok(answer.success);
    }));

  test("a renamed repository sends the caller on", () =>
    withGithub(async (github, get) => {
      github.world.formerName = "Octocoders/Old";

      const answer = await get({ path: "/repos/Octocoders/Old/issues/2" });

      assert.equal(answer.status, 301);
      assert.equal(answer.headers.get("location"), `${github.url}${repo}/issues/2`);
    }));

  test("a field that GitHub does not know is the caller's bug", async () => {
    await using github = await startFakeGithub();

    await ask(github, github.issueToken(ALL), {
      method: "POST",
      path: `${repo}/issues/2/comments`,
      body: { body: "a", bodi: "b" },
    });

    assert.deepEqual(github.problems, ["issues/create-comment was asked with body /bodi"]);
  });
});

describe("the issuer of GitHub's job tokens", () => {
  let github: FakeGithub;
  before(async () => {
    github = await startFakeGithub();
    github.oidc.claims = { repository_owner: "Octocoders", event_name: "push" };
  });
  after(() => github[Symbol.asyncDispose]());

  const Token = z.object({ value: z.string() });
  const Keys = z.object({ keys: z.array(z.object({ kid: z.string(), n: z.string(), e: z.string() })) });

  async function fetchToken(query: string): Promise<{ kid: string; claims: Record<string, unknown> }> {
    const headers = { authorization: `Bearer ${github.oidc.requestToken}` };
    const { value } = Token.parse(await (await fetch(`${github.oidc.requestUrl}${query}`, { headers })).json());
    const [head = "", claims = ""] = value.split(".").map((part) => Buffer.from(part, "base64url").toString());
    return {
      kid: z.object({ kid: z.string() }).parse(JSON.parse(head)).kid,
      claims: z.record(z.string(), z.unknown()).parse(JSON.parse(claims)),
    };
  }

  test("signs the job's claims for the audience that is asked for, for five minutes", async () => {
    const { claims } = await fetchToken("&audience=https%3A%2F%2Fplane.example");

    assert.equal(claims["aud"], "https://plane.example");
    assert.equal(claims["event_name"], "push");
    assert.equal(Number(claims["exp"]) - Number(claims["iat"]), 300);
    assert.equal(Number(claims["iat"]) - Number(claims["nbf"]), 600);
    assert.equal((await fetchToken("")).claims["aud"], "https://github.com/Octocoders");
  });

  test("knows both formats of sub, and that of a job with an environment", () => {
    const { env } = findEvent("push.branch.json");
    const job = { ...commonEnv, ...env, GITHUB_EVENT_NAME: "push" };

    const subjects = [{}, { immutableSub: true }, { environment: "production" }].map(
      (it) => buildClaims(job, it)["sub"],
    );

    assert.deepEqual(subjects, [
      "repo:Octocoders/Hello-World:ref:refs/heads/main",
      "repo:Octocoders@38302899/Hello-World@186853261:ref:refs/heads/main",
      "repo:Octocoders/Hello-World:environment:production",
    ]);
  });

  test("publishes two keys and can change to the other", async () => {
    const before = (await fetchToken("")).kid;
    github.oidc.rotate();
    const now = (await fetchToken("")).kid;
    const { keys } = Keys.parse(await (await fetch(`${github.oidc.issuer}/.well-known/jwks`)).json());

    assert.notEqual(before, now);
    assert.deepEqual(keys.map((key) => key.kid).sort(), [before, now].sort());
  });

  test("gives nothing to a stranger", async () => {
    const answer = await fetch(github.oidc.requestUrl, { headers: { authorization: "Bearer wrong" } });

    assert.equal(answer.status, 401);
  });
});
