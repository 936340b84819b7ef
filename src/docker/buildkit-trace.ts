/**
 * Reads BuildKit's progress messages (`moby.buildkit.v1.StatusResponse`, field numbers from
 * github.com/moby/buildkit/api/services/control/control.proto). Only what a build log needs is decoded; dockerode's own
 * decoder prints the container's output as base64 and needs its .proto file beside it at run time.
 */
export interface BuildStep {
  digest: string;
  name: string;
  isCached: boolean;
  isStarted: boolean;
  isCompleted: boolean;
  error: string;
}

export interface BuildOutput {
  /** Digest of the step that wrote it. */
  step: string;
  text: string;
}

export interface BuildTrace {
  steps: BuildStep[];
  outputs: BuildOutput[];
}

const VERTEX = { digest: 1, name: 3, cached: 4, started: 5, completed: 6, error: 7 };
const LOG = { vertex: 1, message: 4 };
const STATUS = { vertexes: 1, logs: 3 };

type Field = number | Buffer;

/** Throws RangeError for bytes that are no protobuf message. */
export function decodeBuildTrace(message: Buffer): BuildTrace {
  const trace: BuildTrace = { steps: [], outputs: [] };
  for (const [field, value] of readFields(message)) {
    if (field === STATUS.vertexes && Buffer.isBuffer(value)) {
      trace.steps.push(decodeStep(value));
    } else if (field === STATUS.logs && Buffer.isBuffer(value)) {
      const log = new Map(readFields(value));
      trace.outputs.push({ step: text(log.get(LOG.vertex)), text: text(log.get(LOG.message)) });
    }
  }
  return trace;
}

function decodeStep(message: Buffer): BuildStep {
  const fields = new Map(readFields(message));
  return {
    digest: text(fields.get(VERTEX.digest)),
    name: text(fields.get(VERTEX.name)),
    isCached: fields.get(VERTEX.cached) === 1,
    isStarted: fields.has(VERTEX.started),
    isCompleted: fields.has(VERTEX.completed),
    error: text(fields.get(VERTEX.error)),
  };
}

function text(value: Field | undefined): string {
  return Buffer.isBuffer(value) ? value.toString("utf8") : "";
}

/** The fields of one message in order: numbers for varints, bytes for everything with a length. */
function* readFields(message: Buffer): Generator<[field: number, value: Field]> {
  let at = 0;
  const readVarint = (): number => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message.readUInt8(at);
      at += 1;
      value += (byte & 0x7f) * factor;
      if (byte < 0x80) {
        return value;
      }
    }
  };
  while (at < message.length) {
    const key = readVarint();
    const wireType = key & 7;
    const field = Math.floor(key / 8);
    if (wireType === 0) {
      yield [field, readVarint()];
    } else if (wireType === 2) {
      const length = readVarint();
      if (at + length > message.length) {
        throw new RangeError("a field is longer than its message");
      }
      yield [field, message.subarray(at, at + length)];
      at += length;
    } else {
      at += wireType === 1 ? 8 : 4;
    }
  }
}
