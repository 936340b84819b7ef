/** Top-level modules of the standard library (3.10 to 3.14), without those that nobody imports in a flow. */
const STANDARD_LIBRARY = `__future__ __main__ _thread abc aifc annotationlib argparse array ast asyncio atexit base64 bdb binascii bisect
builtins bz2 cProfile calendar cgi cmath cmd code codecs collections colorsys compression concurrent configparser contextlib contextvars copy
copyreg csv ctypes curses dataclasses datetime dbm decimal difflib dis distutils doctest email encodings ensurepip enum errno faulthandler
fcntl filecmp fileinput fnmatch fractions ftplib functools gc genericpath getopt getpass gettext glob graphlib grp gzip hashlib heapq hmac html
http imaplib imghdr imp importlib inspect io ipaddress itertools json keyword linecache locale logging lzma mailbox marshal math
mimetypes mmap multiprocessing netrc ntpath numbers operator optparse os pathlib pdb pickle pickletools pipes pkgutil platform plistlib poplib
posix posixpath pprint profile pstats pty pwd queue quopri random re readline resource runpy sched secrets select selectors shelve shlex
shutil signal site smtplib socket socketserver sqlite3 ssl stat statistics string stringprep struct subprocess symtable sys sysconfig syslog
tabnanny tarfile tempfile termios textwrap threading time timeit tkinter token tokenize tomllib trace traceback tracemalloc tty turtle types
typing unicodedata unittest urllib uuid venv warnings wave weakref webbrowser xml xmlrpc zipapp zipfile zipimport zlib zoneinfo`;

/** What an installed Prefect 3 brings along, by the names under which it is imported. */
const PREFECT_AND_ITS_DEPENDENCIES = `prefect aiosqlite alembic amplitude annotated_doc annotated_types anyio apprise asgi_lifespan asyncpg attr
attrs cachetools certifi cffi charset_normalizer click cloudpickle colorama coolname cronsim cryptography cyclopts dateparser dateutil docker
docket docstring_parser dotenv exceptiongroup fastapi fsspec graphviz greenlet griffe h11 h2 httpcore httpx humanize idna jinja2
jinja2_humanize_extension jsonpatch jsonpointer jsonschema mako markdown markdown_it markupsafe oauthlib opentelemetry orjson packaging pathspec
pendulum pip pkg_resources pluggy prometheus_client pydantic pydantic_core pydantic_extra_types pydantic_settings pygments pythonjsonlogger pytz
readchar redis referencing regex requests requests_oauthlib rfc3339_validator rich rpds ruamel semver setuptools shellingham six slugify sniffio
sqlalchemy starlette text_unidecode toml typer typing_extensions typing_inspection tzdata tzlocal urllib3 uv uvicorn websockets whenever yaml`;

const INSTALLED: ReadonlySet<string> = new Set(`${STANDARD_LIBRARY} ${PREFECT_AND_ITS_DEPENDENCIES}`.split(/\s+/));

/** Whether every machine that runs Prefect can import this top-level name. */
export function comesWithPrefect(topLevelName: string): boolean {
  return INSTALLED.has(topLevelName);
}

const STANDARD: ReadonlySet<string> = new Set(STANDARD_LIBRARY.split(/\s+/));

export function isStandardLibrary(topLevelName: string): boolean {
  return STANDARD.has(topLevelName);
}
