import { float, int, known, NONE, str, type Value } from "./value.ts";

/** Other paths of the same thing, by prefix: the longest that fits is replaced. */
const RENAMED: Readonly<Record<string, string>> = {
  "typing.List": "list",
  "typing.Dict": "dict",
  "typing.Set": "set",
  "typing.FrozenSet": "frozenset",
  "typing.Tuple": "tuple",
  "typing.Type": "type",
  "typing.Text": "str",
  "typing.Deque": "collections.deque",
  "typing.DefaultDict": "collections.defaultdict",
  "typing.OrderedDict": "collections.OrderedDict",
  "typing.Counter": "collections.Counter",
  "typing.ChainMap": "collections.ChainMap",
  "typing.AbstractSet": "collections.abc.Set",
  "typing.Pattern": "re.Pattern",
  "typing.Match": "re.Match",
  "typing.ContextManager": "contextlib.AbstractContextManager",
  "prefect.flows": "prefect",
  "prefect.main.flow": "prefect.flow",
  "prefect.tasks.task": "prefect.task",
  "prefect.deployments.runner": "prefect.deployments",
  "pydantic.main": "pydantic",
  "pydantic.fields": "pydantic",
  "pydantic.types": "pydantic",
  "pydantic.networks": "pydantic",
  "pydantic.config": "pydantic",
  "pydantic.functional_validators": "pydantic",
  "pydantic.functional_serializers": "pydantic",
  "pydantic.dataclasses.Field": "pydantic.Field",
  "pydantic_settings.main": "pydantic_settings",
  "datetime.UTC": "datetime.timezone.utc",
  attr: "attrs",
  "io.open": "open",
};

const COLLECTION_ABCS: ReadonlySet<string> = new Set(
  `Awaitable Coroutine AsyncIterable AsyncIterator AsyncGenerator Iterable Iterator Generator Reversible Container Collection Callable Hashable
Sized Set MutableSet Mapping MutableMapping Sequence MutableSequence ByteString MappingView KeysView ItemsView ValuesView`.split(
    /\s+/,
  ),
);

/** The classes and functions that need no import. */
const BUILTINS: ReadonlySet<string> = new Set(
  `abs aiter all anext any ascii bin bool breakpoint bytearray bytes callable chr classmethod compile complex delattr dict dir divmod enumerate eval
exec filter float format frozenset getattr globals hasattr hash help hex id input int isinstance issubclass iter len list locals map max
memoryview min next object oct open ord pow print property range repr reversed round set setattr slice sorted staticmethod str sum super tuple
type vars zip __import__ __build_class__ exit quit copyright credits license
ArithmeticError AssertionError AttributeError BaseException BaseExceptionGroup BlockingIOError BrokenPipeError BufferError BytesWarning
ChildProcessError ConnectionAbortedError ConnectionError ConnectionRefusedError ConnectionResetError DeprecationWarning EOFError
EncodingWarning EnvironmentError Exception ExceptionGroup FileExistsError FileNotFoundError FloatingPointError FutureWarning GeneratorExit
IOError ImportError ImportWarning IndentationError IndexError InterruptedError IsADirectoryError KeyError KeyboardInterrupt LookupError
MemoryError ModuleNotFoundError NameError NotADirectoryError NotImplementedError OSError OverflowError PendingDeprecationWarning
PermissionError ProcessLookupError RecursionError ReferenceError ResourceWarning RuntimeError RuntimeWarning StopAsyncIteration
StopIteration SyntaxError SyntaxWarning SystemError SystemExit TabError TimeoutError TypeError UnboundLocalError UnicodeDecodeError
UnicodeEncodeError UnicodeError UnicodeTranslateError UnicodeWarning UserWarning ValueError Warning ZeroDivisionError`.split(
    /\s+/,
  ),
);

const CONSTANTS: Readonly<Record<string, Value>> = {
  "math.pi": float(Math.PI),
  "math.e": float(Math.E),
  "math.tau": float(2 * Math.PI),
  "math.inf": float(Number.POSITIVE_INFINITY),
  "math.nan": float(Number.NaN),
  "sys.maxsize": int(2n ** 63n - 1n),
  "sys.byteorder": str("little"),
  "os.sep": str("/"),
  "os.linesep": str("\n"),
  "os.curdir": str("."),
  "os.pardir": str(".."),
  "string.ascii_lowercase": str("abcdefghijklmnopqrstuvwxyz"),
  "string.ascii_uppercase": str("ABCDEFGHIJKLMNOPQRSTUVWXYZ"),
  "string.ascii_letters": str("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"),
  "string.digits": str("0123456789"),
  "string.hexdigits": str("0123456789abcdefABCDEF"),
  "logging.CRITICAL": int(50),
  "logging.ERROR": int(40),
  "logging.WARNING": int(30),
  "logging.INFO": int(20),
  "logging.DEBUG": int(10),
  "logging.NOTSET": int(0),
  "http.client.OK": int(200),
  "types.NoneType": known("types.NoneType"),
  // Only type checkers see what stands below; at run time it is false.
  "typing.TYPE_CHECKING": { kind: "bool", value: false },
};

/** The value behind a dotted path of a known module, with aliases resolved. */
export function knownValue(path: string): Value {
  const name = canonicalName(path);
  const constant = CONSTANTS[name];
  if (constant !== undefined) return constant;
  if (name === "datetime.timezone.utc") return UTC;
  return known(name);
}

export const UTC: Value = {
  kind: "object",
  type: "datetime.timezone",
  args: { positional: [int(0)], named: new Map(), isPartial: false },
  json: undefined,
};

export function builtinValue(name: string): Value | null {
  if (name === "NotImplemented" || name === "__debug__") return known(name);
  if (name === "__doc__" || name === "__spec__" || name === "__loader__" || name === "__builtins__") return NONE;
  return BUILTINS.has(name) ? known(name) : null;
}

function canonicalName(path: string): string {
  let name = path.startsWith("builtins.") ? path.slice("builtins.".length) : path;
  if (name.startsWith("typing_extensions.") && name !== "typing_extensions.TypedDict") {
    name = `typing.${name.slice("typing_extensions.".length)}`;
  }
  if (name.startsWith("typing.") && COLLECTION_ABCS.has(name.slice("typing.".length))) {
    return `collections.abc.${name.slice("typing.".length)}`;
  }
  for (let end = name.length; end > 0; end = name.lastIndexOf(".", end - 1)) {
    const replacement = RENAMED[name.slice(0, end)];
    if (replacement !== undefined) return replacement + name.slice(end);
  }
  return name;
}

/** Exception classes and what they derive from, as far as `except` clauses at module level ask. */
const EXCEPTION_PARENTS: Readonly<Record<string, string>> = {
  ModuleNotFoundError: "ImportError",
  KeyError: "LookupError",
  IndexError: "LookupError",
  ZeroDivisionError: "ArithmeticError",
  OverflowError: "ArithmeticError",
  UnboundLocalError: "NameError",
  NotImplementedError: "RuntimeError",
  RecursionError: "RuntimeError",
  FileNotFoundError: "OSError",
  PermissionError: "OSError",
  UnicodeDecodeError: "ValueError",
};

/** Whether `except caught` catches an exception of this type; null if we do not know either. */
export function catches(caught: string, raised: string): boolean | null {
  if (caught === "BaseException") return true;
  if (caught === "Exception") return !/^(?:SystemExit|KeyboardInterrupt|GeneratorExit)$/.test(raised);
  for (let type: string | undefined = raised; type !== undefined; type = EXCEPTION_PARENTS[type]) {
    if (type === caught) return true;
  }
  return BUILTINS.has(caught) && BUILTINS.has(raised) ? false : null;
}
