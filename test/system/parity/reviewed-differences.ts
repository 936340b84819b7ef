const NAMES_THE_PLACE =
  "the same status, but our sentence says what is taken or wrong; theirs sends readers to its log";
const NO_500 = "theirs fails with a 500 of its own";
const NO_405 = "our router knows paths with their methods: 404, and no client asks";
const PARSED_LATER = "422 in both; ours says it as one sentence, theirs as a list";
const ECHO = "422 in both; our echo and place of a body that is no object differ";
const TRIGGER = "stored as sent; theirs fills in defaults, which evaluation will do here";
const ONCE = "promise 5: a run that has ended is not taken again by a late PENDING of a worker's old list";
const WHOLE_STATE = "older clients send the id and time of a state back; we make our own and go on, theirs refuses";
const NULL_VARIABLES = "theirs leaves null for a run with an idempotency key and {} for one without; ours always {}";
const QUEUE_SHOWN = "theirs finds only by a queue that was named; ours by the queue that is shown";
const TASK_OVER_REST = "theirs holds task runs to the state of their flow run here; engines set task states by events";

/** Where we answer otherwise than Prefect's server on purpose: the step, and why ours is as good or better. */
export const REVIEWED: Readonly<Record<string, string>> = {
  "a method that a route does not have": NO_405,
  "worker channel without an upgrade": NO_405,
  "pool whose variables are no schema": PARSED_LATER,
  "deployment with an rrule that is none": PARSED_LATER,
  "schedule of an unknown alias": PARSED_LATER,
  "schedule of minute 61": PARSED_LATER,
  "schedule of chance": PARSED_LATER,
  "template with a default that does not fit": "a template that no run can use is refused at once, as on creation",
  "queue that exists": "theirs prints the placeholder of its own message",
  "queue to a taken name": NAMES_THE_PLACE,
  "queue without a pool that exists": NAMES_THE_PLACE,
  "deployment of an unknown flow": NAMES_THE_PLACE,
  "run of an unknown flow": NAMES_THE_PLACE,
  "deployment with two schedules of one slug": NAMES_THE_PLACE,
  "deployment whose parameters are enforced": NAMES_THE_PLACE,
  "block document without a name": NAMES_THE_PLACE,
  "name of a variable, taken": NAMES_THE_PLACE,
  "limit that exists": NAMES_THE_PLACE,
  "take slots that are taken": NAMES_THE_PLACE,
  "run with a broken JSON parameter": "the sentence is that of the JSON parser",
  "paused: proposal 4": "theirs prints a Python enumeration",
  "default queue of a pool": NO_500,
  "unknown pool for a deployment": NO_500,
  "input with a slash in its key": NO_500,
  "resume an unknown run": NO_500,
  "flow of null": ECHO,
  "flow of broken JSON": ECHO,
  "states of no run": ECHO,
  "states of no task run": ECHO,
  "flows by a percent sign": "a percent sign stands for itself, as in the text search of logs",
  "deployment with other schedules": "theirs drops max_scheduled_runs of a schedule that comes with its deployment",
  "deployment whose pool was taken away": "theirs keeps the name of a queue that it no longer has",
  "deployment whose pool is gone": "theirs keeps the name of a queue that it no longer has",
  "schedules of a deployment": "promise of PATCH: an absent key keeps its value; theirs empties the parameters",
  "run of a flow with an idempotency key": NULL_VARIABLES,
  "run of a flow with that key again": NULL_VARIABLES,
  "runs by name, in order": NULL_VARIABLES,
  "paused: the run at the end": "a run that goes on is no longer resuming; theirs says so until it pauses again",
  "crashed: proposal 2": ONCE,
  "crashed: the run at the end": ONCE,
  "crashed: its states": ONCE,
  "of a client that sends back a whole state: proposal 1": WHOLE_STATE,
  "of a client that sends back a whole state: the run at the end": WHOLE_STATE,
  "of a client that sends back a whole state: its states": WHOLE_STATE,
  "log line of a client that names its worker": "some builds of the client name their worker; the line is kept",
  "state of a task run": TASK_OVER_REST,
  "states of a task run": TASK_OVER_REST,
  "task runs of a flow run": TASK_OVER_REST,
  "task runs through flow runs": TASK_OVER_REST,
  automation: TRIGGER,
  "automation by id": TRIGGER,
  "automation that was put": TRIGGER,
  automations: TRIGGER,
  "automations of a resource": TRIGGER,
  "latest artifact": "ours carries the artifact's id; theirs that of its collection, which no route takes",
  "number of artifacts": "theirs makes artifacts of the data of states",
  "count of deployments by their queue": QUEUE_SHOWN,
  "number of flows by pool and queue": "theirs ignores the queue",
  "next events of no page": "422 with a sentence where theirs says Forbidden",
};
