import assert from "node:assert/strict";
import { suite, test } from "node:test";
import { matchesEventFilter } from "../../src/orchestration/events/event-filter.ts";
import { EventFilter, type ReceivedEvent } from "../../src/prefect-api/events.ts";
import { EARLIER, LATER, NOW } from "./build-transition.ts";

const EVENT: ReceivedEvent = {
  id: "00000000-0000-7000-8000-000000000001",
  occurred: NOW,
  received: NOW,
  event: "prefect.flow-run.Running",
  resource: { "prefect.resource.id": "prefect.flow-run.1", "prefect.state-type": "RUNNING" },
  related: [
    { "prefect.resource.id": "prefect.flow.2", "prefect.resource.role": "flow", "prefect.resource.name": "etl" },
    { "prefect.resource.id": "prefect.tag.prod", "prefect.resource.role": "tag" },
  ],
  payload: { validated_state: { message: "Disk is full" } },
};

const MATCHING: Record<string, unknown>[] = [
  {},
  { occurred: { since: EARLIER, until: LATER } },
  { occurred: { since: NOW, until: NOW } },
  { event: { prefix: ["prefect.flow-run."] } },
  { event: { name: ["prefect.flow-run.Running"], exclude_name: ["prefect.flow-run.Failed"] } },
  { resource: { id: ["prefect.flow-run.1"] } },
  { resource: { id_prefix: ["prefect.flow-run."] } },
  { resource: { id: [] } },
  { resource: { labels: { "prefect.state-type": "RUN*" } } },
  { resource: { labels: { "prefect.state-type": "!FAILED" } } },
  { resource: { labels: { "prefect.state-type": ["FAILED", "RUNNING"] } } },
  { related: { role: ["tag"], id: ["prefect.tag.prod"] } },
  { related: { resources_in_roles: [["prefect.flow.2", "flow"]] } },
  { related: [{ role: ["flow"] }, { role: ["tag"] }] },
  { related: { labels: { "prefect.resource.name": "et*" } } },
  { any_resource: { id: ["prefect.flow.2"] } },
  { any_resource: { id: ["prefect.flow-run.1"] } },
  { any_resource: [{ id_prefix: ["prefect.tag."] }, { id_prefix: ["prefect.flow-run."] }] },
  { id: { id: [EVENT.id] } },
  { text: { query: "DISK nothing" } },
  { text: { query: '"disk is" -cpu +full' } },
];

const OTHERS: Record<string, unknown>[] = [
  { occurred: { since: LATER } },
  { occurred: { until: EARLIER } },
  { event: { exclude_prefix: ["prefect.flow-run."] } },
  { event: { name: ["prefect.flow-run"] } },
  { resource: { id: ["prefect.flow.2"] } },
  { resource: { labels: { "prefect.state-type": "!RUN*" } } },
  { resource: { labels: { absent: "!x" } } },
  { resource: { labels: { "prefect.state-type": [] } } },
  { related: { role: ["flow"], id: ["prefect.tag.prod"] } },
  { related: [{ role: ["flow"] }, { role: ["deployment"] }] },
  { any_resource: { id: ["prefect.flow.3"] } },
  { id: { id: ["00000000-0000-7000-8000-000000000009"] } },
  { text: { query: "cpu" } },
  { text: { query: "disk -full" } },
  { text: { query: "disk +cpu" } },
];

suite("an event filter", () => {
  for (const filter of MATCHING) {
    test(`takes the event with ${JSON.stringify(filter)}`, () => {
      assert.equal(matchesEventFilter(EVENT, EventFilter.parse(filter)), true);
    });
  }
  for (const filter of OTHERS) {
    test(`leaves the event out with ${JSON.stringify(filter)}`, () => {
      assert.equal(matchesEventFilter(EVENT, EventFilter.parse(filter)), false);
    });
  }
});
