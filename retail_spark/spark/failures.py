"""What fails below this package, in its own words: one place turns any exception into what happened and how to mend it.

Spark's errors come as a Java trace in a Python one. What a user can act on is the innermost cause, the name that Spark
gives the kind ([CONDITION]), and the file, table or host that it is about; the exit code follows from the kind.
"""

from __future__ import annotations

import errno
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from retail_spark.errors import (
    ContractError,
    InputError,
    LeaseHeldError,
    RetailSparkError,
    ServiceMissingError,
)

TRACE_PREFIX, TRACE_SUFFIX = "retail-spark-", ".trace"
_CAUSE = re.compile(r"^\s*(?:Caused by: |: )?((?:[a-z_]\w*\.)+[A-Z][\w$]*(?:Exception|Error|Failure)?)(?:: (.*))?$")
_CONDITION = re.compile(r"\[([A-Z][A-Z0-9_]{3,}(?:\.[A-Z0-9_]+)*)\] ?")
_FILE = re.compile(r"(?:file|s3a?|abfss?|wasbs?|gs|hdfs|dbfs):/[^\s\"',;]*[^\s\"',;.:)\]]")
_HOST = re.compile(
    r"UnknownHostException: (?:Invalid host name: local host is: .*?destination host is: )?\"?([\w.-]+)"
    r"|Connection to ([\w.:-]+) refused|jdbc:\w+:(?://)?(?:[^/@\s]*@)?([\w.-]+(?::\d+)?)"
    r"|(?:https?://)([\w.-]+(?::\d+)?)|Call From .*? to ([\w.:-]+) failed"
)
_WRAPPERS = ("Py4J", "SparkException", "An error occurred while calling", "Job aborted due to stage failure")
_PYTHON = re.compile(r"^(\w+(?:Error|Exception|Interrupt|Exit)): (.+)$", re.MULTILINE)
_FOREIGN = ("py4j", "pyspark", "deltalake", "grpc", "_internal")
_MOST = 300

Kind = Callable[..., RetailSparkError]


@dataclass(frozen=True)
class _Rule:
    """What a text of Java's means to a user."""

    pattern: re.Pattern[str]
    kind: Kind
    what: str
    """With {file}, {host} and {cause}."""
    fix: str


def _rule(pattern: str, kind: Kind, what: str, fix: str) -> _Rule:
    return _Rule(re.compile(pattern), kind, what, fix)


_RERUN = "then run the same command again: nothing is half written"
_RULES = (
    _rule(
        r"(?i)no space left on device|disk quota exceeded|not enough space",
        ServiceMissingError,
        "a disk is full: {cause}",
        f"free space where the lake lies and in the temporary folder (spark.conf: spark.local.dir), {_RERUN}",
    ),
    _rule(
        r"OutOfMemoryError|GC overhead limit",
        ServiceMissingError,
        "Spark ran out of memory: {cause}",
        "raise spark.driver_memory, then run the same command again",
    ),
    _rule(
        r"(?i)Concurrent(?:Append|DeleteRead|DeleteDelete|Transaction|Write|Modification)\w*Exception|DELTA_CONCURRENT"
        r"|MetadataChangedException|ProtocolChangedException|DELTA_METADATA_CHANGED|DELTA_PROTOCOL_CHANGED",
        LeaseHeldError,
        "another writer changed the same rows of a table meanwhile: {cause}",
        "run the same command again; to write into one slice of a table is for one run at a time",
    ),
    _rule(
        r"DELTA_VIOLATE_CONSTRAINT|DELTA_NOT_NULL_CONSTRAINT|InvariantViolationException|NOT_NULL_ASSERT_VIOLATION",
        ContractError,
        "a row breaks its table's contract: {cause}",
        "mend the mapping or the rows; nothing of them was written",
    ),
    _rule(
        r"Python worker (?:exited|failed)|Py4JNetworkError|Answer from Java side is empty|Java gateway process"
        r"|An error occurred while calling \S+\s*(?:Py4J\w+\s*)*\Z|ExecutorLost|stopped SparkContext|Connection reset"
        r"|SparkContext (?:was|has been) (?:shut ?down|stopped)",
        ServiceMissingError,
        "Spark's process ended at work: {cause}",
        "often memory: raise spark.driver_memory, and read <lake.root>/_logs/spark.log; then run the command again",
    ),
    _rule(
        r"No suitable driver|ClassNotFoundException: \S*Driver|ClassNotFoundException: (?:com|org)\.\S*[jJ]dbc",
        ServiceMissingError,
        "the JDBC driver of the database is not there: {cause}",
        "give its JAR: spark.conf: {spark.jars.packages: GROUP:ARTIFACT:VERSION}, and inputs.<name>.options.driver",
    ),
    _rule(
        r"No FileSystem for scheme|UNSUPPORTED_FILESYSTEM|S3AFileSystem not found|FileSystem not found",
        ServiceMissingError,
        "Spark does not know this kind of storage: {cause}",
        "give its JAR, such as spark.conf: {spark.jars.packages: org.apache.hadoop:hadoop-aws:VERSION}",
    ),
    _rule(
        r"(?i)AccessDenied(?:Exception)?\b|NoAuthWithAWS|InvalidAccessKeyId|SignatureDoesNotMatch|403 Forbidden"
        r"|password authentication failed|Access denied for user|Login failed|invalid username/password"
        r"|Unable to load credentials",
        ServiceMissingError,
        "access to {host} was refused: {cause}",
        "check the credentials and their rights; give secrets by reference (env:NAME, file:PATH)",
    ),
    _rule(
        r"UnknownHostException|Connection refused|ConnectException|NoRouteToHost|ConnectTimeout|SocketTimeout"
        r"|(?i:connection attempt failed|communications link failure|connect timed out|connection reset by peer)",
        ServiceMissingError,
        "{host} does not answer: {cause}",
        "start it, or correct its address in the settings, then run the same command again",
    ),
    _rule(
        r"DELTA_\w*(?:FILE_NOT_FOUND|CHANGE_DATA_FILE_NOT_FOUND|LOG_FILE_NOT_FOUND|TRUNCATED)\w*|FILE_NOT_EXIST|"
        r"DELTA_MISSING_CHANGE_DATA|DELTA_TABLE_NOT_FOUND|FileNotFoundException|NoSuchFileException|PATH_NOT_FOUND",
        InputError,
        "the file {file} is not there (any more): {cause}",
        "bring the file back; of a table of the lake: run maintain, which names what is gone and what heals it",
    ),
    _rule(
        r"is not a Parquet file|CANNOT_READ_FILE_FOOTER|FAILED_READ_FILE|ZipException|[Uu]nexpected end of ZLIB"
        r"|EOFException|incorrect (?:header|data) check|[Nn]ot in GZIP format|not a gzip file|invalid (?:block|stored)"
        r"|MALFORMED_|CharacterCodingException|MalformedInput",
        InputError,
        "the file {file} cannot be read, it is cut off or of another kind than its name says: {cause}",
        "bring a whole file of that name, or move it out of the input's path",
    ),
    _rule(
        r"Permission denied|AccessControlException|Read-only file system|Operation not permitted"
        r"|Mkdirs failed to create|ParentNotDirectoryException",
        ServiceMissingError,
        "{file} may not be written or read: {cause}",
        "give this user the right, or set lake.root to a folder that it may write",
    ),
    _rule(
        r"CAST_INVALID_INPUT|CANNOT_PARSE_TIMESTAMP|ARITHMETIC_OVERFLOW|NUMERIC_VALUE_OUT_OF_RANGE|DIVIDE_BY_ZERO",
        InputError,
        "a value does not fit: {cause}",
        "use the try_ form of the function (try_cast, try_to_date, try_divide) where such values are expected",
    ),
)
_OS = {
    errno.ENOSPC: _RULES[0],
    errno.EDQUOT: _RULES[0],
    errno.EACCES: next(r for r in _RULES if "Permission denied" in r.pattern.pattern),
    errno.EPERM: next(r for r in _RULES if "Permission denied" in r.pattern.pattern),
    errno.EROFS: next(r for r in _RULES if "Permission denied" in r.pattern.pattern),
}


def explain(error: BaseException) -> RetailSparkError:
    """The error as one of this package's, with its exit code; one without a fix where no one thought of it."""
    for one in _chain(error):
        if isinstance(one, RetailSparkError):
            return one
    for one in _chain(error):
        if isinstance(one, OSError) and one.errno in _OS:
            return _explained(_OS[one.errno], cause=one.strerror or str(one), text=f"file:{one.filename or '/'}")
    text = "\n".join(_texts(error))
    cause = innermost(text) or "the JVM does not answer"
    rule = next((rule for rule in _RULES if rule.pattern.search(text)), None)
    if rule is not None and _is_foreign(error):
        return _explained(rule, cause=cause, text=text)
    said = cause if _is_foreign(error) else f"{type(error).__name__}: {_first_line(str(error))}"
    return RetailSparkError(said, fix="")


def innermost(text: str) -> str:
    """The last cause in a Java trace, with its [CONDITION]; the first line where it is no trace."""
    from_python = _PYTHON.findall(text.split("JVM stacktrace")[0]) if "Python worker. Please see" in text else []
    if from_python:
        return ": ".join(from_python[-1])[:_MOST]
    causes = [found for line in text.splitlines() if (found := _CAUSE.match(line)) and found.group(1)]
    said = [(kind.rpartition(".")[2], (message or "").strip()) for kind, message in (c.groups() for c in causes)]
    told = next(((k, m) for k, m in reversed(said) if m), said[-1] if said else ("", ""))
    words = told[1] if _CONDITION.match(told[1]) or not told[0] else ": ".join(filter(None, told))
    if not words:
        lines = (line.strip() for line in text.splitlines())
        words = next((line for line in lines if line and not line.startswith(_WRAPPERS)), "")
    condition = _CONDITION.search(text)
    if condition is not None and f"[{condition.group(1)}]" not in words:
        words = f"[{condition.group(1)}] {words}"
    return words if len(words) <= _MOST else f"{words[:_MOST]}..."


def _explained(rule: _Rule, *, cause: str, text: str) -> RetailSparkError:
    file, host = _FILE.search(text), _HOST.search(text)
    named = {
        "{cause}": cause,
        "{file}": unquote(re.sub(r"^file:/*", "/", file.group(0))) if file else "of the input",
        "{host}": next(filter(None, host.groups()), "the service") if host else "the service",
    }
    what = rule.what
    for name, value in named.items():
        what = what.replace(name, value)
    return rule.kind(what, fix=rule.fix)


def _chain(error: BaseException) -> Iterator[BaseException]:
    seen: set[int] = set()
    now: BaseException | None = error
    while now is not None and id(now) not in seen:
        seen.add(id(now))
        yield now
        now = now.__cause__ or (None if now.__suppress_context__ else now.__context__)


def _texts(error: BaseException) -> Iterator[str]:
    """All that the error says. The JVM is asked for some of it, and may be gone."""
    for one in _chain(error):
        try:
            yield str(one)
        except Exception as second:
            yield f"{type(second).__name__}: {second}"
        yield str(getattr(one, "_desc", "") or "")
        yield str(getattr(one, "_stackTrace", "") or "")
        yield type(one).__name__


def _is_foreign(error: BaseException) -> bool:
    """True for what Spark, its drivers and file systems raise: their texts mean what the rules say."""
    return any(type(one).__module__.split(".")[0] in _FOREIGN for one in _chain(error))


def _first_line(text: str) -> str:
    return next((line for line in text.splitlines() if line.strip()), "no message")
