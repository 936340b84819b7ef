/** Whose fault a failure is: the user can fix it, the outside world must recover, or Flowyard has a bug. */
export type Fault = "user" | "world" | "us";

/**
 * Every code an error of ours can carry, with the HTTP status the plane answers it with.
 * `docs/errors.md` has one section per code; a contract test holds both equal.
 * Codes are only added, never renamed: users match on them.
 */
export const ERROR_CODES = {
  // The plane's answers.
  NOT_FOUND: { status: 404, fault: "user" },
  ALREADY_EXISTS: { status: 409, fault: "user" },
  FORBIDDEN_NAME: { status: 403, fault: "user" },
  DATA_CONFLICT: { status: 409, fault: "user" },
  INVALID_REQUEST: { status: 422, fault: "user" },
  INVALID_PARAMETERS: { status: 409, fault: "user" },
  INVALID_PARAMETER_TEMPLATE: { status: 400, fault: "user" },
  TOO_MANY_FLOW_RUNS: { status: 400, fault: "user" },
  WORKER_CANNOT_DRAIN: { status: 409, fault: "user" },
  WORK_POOL_REQUIRED: { status: 400, fault: "user" },
  SLOTS_TAKEN: { status: 423, fault: "user" },
  LEASE_GONE: { status: 410, fault: "user" },
  INVALID_JOB_VARIABLES: { status: 422, fault: "user" },
  INVALID_JOB_TEMPLATE: { status: 422, fault: "user" },
  INVALID_SCHEDULE: { status: 422, fault: "user" },
  UNAUTHORIZED: { status: 401, fault: "user" },
  RUN_TOKEN_REFUSED: { status: 403, fault: "user" },
  RUN_TOKEN_ENDED: { status: 403, fault: "user" },
  FOREIGN_ORIGIN: { status: 403, fault: "user" },
  FOREIGN_HOST: { status: 403, fault: "user" },
  UNSUPPORTED_API_VERSION: { status: 400, fault: "user" },
  BODY_TOO_LARGE: { status: 413, fault: "user" },
  SERVICE_UNAVAILABLE: { status: 503, fault: "world" },
  // Starting a process of ours.
  CONFIG_INVALID: { status: 400, fault: "user" },
  CREDENTIALS_REQUIRED: { status: 400, fault: "user" },
  DATABASE_IN_USE: { status: 409, fault: "user" },
  DATABASE_UNUSABLE: { status: 503, fault: "user" },
  BACKUP_REFUSED: { status: 409, fault: "user" },
  ADDRESS_IN_USE: { status: 409, fault: "user" },
  ADDRESS_UNUSABLE: { status: 409, fault: "user" },
  // Talking to a plane.
  PLANE_UNREACHABLE: { status: 503, fault: "world" },
  PLANE_REFUSED: { status: 400, fault: "user" },
  PLANE_FAILED: { status: 502, fault: "world" },
  PLANE_ANSWER_INVALID: { status: 502, fault: "user" },
  LIST_TOO_LONG: { status: 422, fault: "user" },
  // prefect.yaml, the flow's source, deploying.
  PROJECT_FILE_MISSING: { status: 400, fault: "user" },
  PROJECT_FILE_INVALID: { status: 400, fault: "user" },
  DEPLOYMENT_NOT_SELECTED: { status: 400, fault: "user" },
  DEPLOYMENT_INVALID: { status: 400, fault: "user" },
  TEMPLATE_UNRESOLVED: { status: 400, fault: "user" },
  ENTRYPOINT_INVALID: { status: 400, fault: "user" },
  STEP_FAILED: { status: 400, fault: "user" },
  // Docker.
  DOCKER_UNREACHABLE: { status: 503, fault: "world" },
  RELAY_RUNNING: { status: 409, fault: "user" },
  RELAY_NOT_OURS: { status: 409, fault: "user" },
  RELAY_UNAVAILABLE: { status: 503, fault: "world" },
  IMAGE_NOT_FOUND: { status: 404, fault: "user" },
  IMAGE_PULL_REFUSED: { status: 403, fault: "user" },
  IMAGE_BUILD_FAILED: { status: 400, fault: "user" },
  IMAGE_PUSH_REFUSED: { status: 403, fault: "user" },
  IMAGE_PUSH_FAILED: { status: 502, fault: "world" },
  REGISTRY_LOGIN_REFUSED: { status: 401, fault: "user" },
  BUILDX_MISSING: { status: 400, fault: "user" },
  BUILDER_UNFIT: { status: 400, fault: "user" },
  CONTAINER_REFUSED: { status: 400, fault: "user" },
  REGISTRY_UNREACHABLE: { status: 503, fault: "world" },
  REGISTRY_RATE_LIMITED: { status: 503, fault: "world" },
  DOCKER_DISK_FULL: { status: 507, fault: "user" },
  // Releases.
  PLAN_CHANGED: { status: 409, fault: "user" },
  RELEASE_OUTDATED: { status: 409, fault: "user" },
  RELEASE_CONFLICT: { status: 409, fault: "user" },
  RELEASE_INCOMPLETE: { status: 502, fault: "world" },
  RELEASES_UNSUPPORTED: { status: 404, fault: "user" },
  INVALID_RELEASE: { status: 422, fault: "user" },
  // The worker.
  JOB_INVALID: { status: 422, fault: "user" },
  PROCESS_REFUSED: { status: 400, fault: "user" },
  WORK_POOL_TYPE_MISMATCH: { status: 409, fault: "user" },
  // The action.
  INPUT_INVALID: { status: 400, fault: "user" },
  EVENT_INVALID: { status: 400, fault: "user" },
  EVENT_REFUSED: { status: 403, fault: "user" },
  PAYLOAD_INVALID: { status: 400, fault: "user" },
  COMMIT_MISMATCH: { status: 409, fault: "user" },
  ENVIRONMENT_MISMATCH: { status: 409, fault: "user" },
  CAPABILITY_MISSING: { status: 501, fault: "user" },
  // The command line.
  WATCH_TIMEOUT: { status: 408, fault: "world" },
  USAGE: { status: 400, fault: "user" },
} as const satisfies Record<string, { status: number; fault: Fault }>;

export type ErrorCode = keyof typeof ERROR_CODES;
