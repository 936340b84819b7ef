import type { Schema } from "./schema.ts";

const URI: Schema = { format: "uri", minLength: 1, type: "string" };
const HOSTS: Schema = { format: "multi-host-uri", minLength: 1, type: "string" };
const text = (format: string): Schema => ({ format, type: "string" });
const SECRET: Schema = { format: "password", type: "string", writeOnly: true };
const LIST: Schema = { items: {}, type: "array" };
const SET: Schema = { items: {}, type: "array", uniqueItems: true };
const DICT: Schema = { additionalProperties: true, type: "object" };

/** JSON schemas of types that take no arguments, or stand without them. Computed with pydantic 2.14. */
export const KNOWN_TYPES: Readonly<Record<string, Schema>> = {
  int: { type: "integer" },
  float: { type: "number" },
  str: { type: "string" },
  bool: { type: "boolean" },
  bytes: text("binary"),
  complex: { type: "string" },
  "types.NoneType": { type: "null" },
  list: LIST,
  tuple: LIST,
  set: SET,
  frozenset: SET,
  dict: DICT,
  "collections.deque": LIST,
  "collections.OrderedDict": DICT,
  "collections.Counter": { additionalProperties: { type: "integer" }, type: "object" },
  "collections.abc.Set": SET,
  "collections.abc.MutableSet": SET,
  "collections.abc.Sequence": LIST,
  "collections.abc.MutableSequence": LIST,
  "collections.abc.Iterable": LIST,
  "collections.abc.Generator": LIST,
  "collections.abc.Mapping": DICT,
  "collections.abc.MutableMapping": DICT,
  "typing.AnyStr": { anyOf: [text("binary"), { type: "string" }] },
  "datetime.date": text("date"),
  "datetime.datetime": text("date-time"),
  "datetime.time": text("time"),
  "datetime.timedelta": text("duration"),
  "zoneinfo.ZoneInfo": text("zoneinfo"),
  "uuid.UUID": text("uuid"),
  "decimal.Decimal": { anyOf: [{ type: "number" }, { type: "string" }] },
  "fractions.Fraction": { anyOf: [{ type: "number" }, text("fraction")] },
  "re.Pattern": text("regex"),
  "os.PathLike": text("path"),
  ...Object.fromEntries(
    ["Path", "PurePath", "PosixPath", "PurePosixPath", "WindowsPath", "PureWindowsPath"].map((name) => [
      `pathlib.${name}`,
      text("path"),
    ]),
  ),
  ...Object.fromEntries(
    ["IPv4Address", "IPv6Address", "IPv4Network", "IPv6Network", "IPv4Interface", "IPv6Interface"].map((name) => [
      `ipaddress.${name}`,
      text(name.toLowerCase().replace("address", "")),
    ]),
  ),
  ...Object.fromEntries(
    "AmqpDsn AnyHttpUrl AnyUrl AnyWebsocketUrl ClickHouseDsn CockroachDsn FileUrl FtpUrl KafkaDsn MariaDBDsn MySQLDsn RedisDsn SnowflakeDsn"
      .split(" ")
      .map((name) => [`pydantic.${name}`, URI]),
  ),
  ...Object.fromEntries("MongoDsn NatsDsn PostgresDsn".split(" ").map((name) => [`pydantic.${name}`, HOSTS])),
  ...Object.fromEntries(
    "HttpUrl WebsocketUrl".split(" ").map((name) => [`pydantic.${name}`, { ...URI, maxLength: 2083 }]),
  ),
  ...Object.fromEntries(
    "1 3 4 5 6 7 8".split(" ").map((version) => [`pydantic.UUID${version}`, text(`uuid${version}`)]),
  ),
  "pydantic.AwareDatetime": text("date-time"),
  "pydantic.NaiveDatetime": text("date-time"),
  "pydantic.PastDatetime": text("date-time"),
  "pydantic.FutureDatetime": text("date-time"),
  "pydantic.PastDate": text("date"),
  "pydantic.FutureDate": text("date"),
  "pydantic.Base64Bytes": text("base64"),
  "pydantic.Base64Str": text("base64"),
  "pydantic.Base64UrlBytes": text("base64url"),
  "pydantic.Base64UrlStr": text("base64url"),
  "pydantic.ByteSize": {
    anyOf: [
      { pattern: "^\\s*(\\d*\\.?\\d+)\\s*(\\w+)?", type: "string" },
      { minimum: 0, type: "integer" },
    ],
  },
  "pydantic.DirectoryPath": text("directory-path"),
  "pydantic.FilePath": text("file-path"),
  "pydantic.NewPath": text("path"),
  "pydantic.SocketPath": text("path"),
  "pydantic.FiniteFloat": { type: "number" },
  "pydantic.IPvAnyAddress": text("ipvanyaddress"),
  "pydantic.IPvAnyInterface": text("ipvanyinterface"),
  "pydantic.IPvAnyNetwork": text("ipvanynetwork"),
  "pydantic.ImportString": { type: "string" },
  "pydantic.Json": { contentMediaType: "application/json", contentSchema: {}, type: "string" },
  "pydantic.NegativeFloat": { exclusiveMaximum: 0, type: "number" },
  "pydantic.NegativeInt": { exclusiveMaximum: 0, type: "integer" },
  "pydantic.NonNegativeFloat": { minimum: 0, type: "number" },
  "pydantic.NonNegativeInt": { minimum: 0, type: "integer" },
  "pydantic.NonPositiveFloat": { maximum: 0, type: "number" },
  "pydantic.NonPositiveInt": { maximum: 0, type: "integer" },
  "pydantic.PositiveFloat": { exclusiveMinimum: 0, type: "number" },
  "pydantic.PositiveInt": { exclusiveMinimum: 0, type: "integer" },
  "pydantic.PaymentCardNumber": { maxLength: 19, minLength: 12, type: "string" },
  "pydantic.SecretBytes": SECRET,
  "pydantic.SecretStr": SECRET,
  "pydantic.StrictBool": { type: "boolean" },
  "pydantic.StrictBytes": text("binary"),
  "pydantic.StrictFloat": { type: "number" },
  "pydantic.StrictInt": { type: "integer" },
  "pydantic.StrictStr": { type: "string" },
  "pydantic.EmailStr": text("email"),
  "pydantic.NameEmail": text("name-email"),
  "prefect.types.DateTime": text("date-time"),
  "prefect.types.Date": text("date"),
};

/** Types that pydantic cannot describe: Prefect accepts anything for them, and says so nowhere. */
export const WITHOUT_SCHEMA: ReadonlySet<string> = new Set([
  "collections.abc.Callable",
  "collections.defaultdict",
  "typing.Required",
  "typing.NotRequired",
]);

/** Blocks that come with Prefect 3.9, as `#/definitions/…`. */
export const PREFECT_BLOCKS: Readonly<Record<string, Readonly<Record<string, Schema>>>> = {
  "prefect.blocks.system.Secret": {
    JsonValue: {},
    Secret: {
      additionalProperties: true,
      block_schema_references: {},
      block_type_slug: "secret",
      description:
        "A block that represents a secret value. The value stored in this block will be obfuscated when this block is viewed or edited in the UI.",
      properties: {
        value: {
          anyOf: [SECRET, { title: "string", type: "string" }, { $ref: "#/definitions/JsonValue", title: "JSON" }],
          description: "A value that should be kept secret.",
          examples: ["sk-1234567890", { password: "s3cr3t", username: "johndoe" }],
          format: "password",
          title: "Value",
          writeOnly: true,
        },
      },
      required: ["value"],
      secret_fields: ["value", "value"],
      title: "Secret",
      type: "object",
    },
  },
  "prefect.filesystems.LocalFileSystem": {
    LocalFileSystem: {
      additionalProperties: true,
      block_schema_references: {},
      block_type_slug: "local-file-system",
      description: "Store data as a file on a local file system.",
      properties: {
        basepath: {
          anyOf: [{ type: "string" }, { type: "null" }],
          default: null,
          description: "Default local path for this block to write to.",
          title: "Basepath",
        },
      },
      secret_fields: [],
      title: "LocalFileSystem",
      type: "object",
    },
  },
};
