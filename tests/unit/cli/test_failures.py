"""Any exception as a message that can be acted on: the innermost cause, its file or host, the right exit code."""

from __future__ import annotations

import errno

import pytest
from py4j.protocol import Py4JError

from retail_spark.errors import InputError
from retail_spark.spark.failures import explain

HEAD = "An error occurred while calling o7.load.\n: "
READ = "org.apache.spark.SparkException: [FAILED_READ_FILE.NO_HINT] Encountered error while reading file file:///in/{}."
TRACES = {
    "cut parquet": (
        HEAD
        + READ.format("a%20b.parquet")
        + "\n\tat org.apache.X.y(Z.scala:1)\nCaused by: java.lang.RuntimeException: "
        "file:/in/a b.parquet is not a Parquet file. Expected magic number at tail\n\t... 12 more",
        3,
        ["/in/a b.parquet", "is not a Parquet file", "[FAILED_READ_FILE.NO_HINT]"],
    ),
    "cut gzip": (
        HEAD + READ.format("x.csv.gz") + "\nCaused by: java.io.EOFException: Unexpected end of input stream",
        3,
        ["/in/x.csv.gz", "Unexpected end of input stream"],
    ),
    "zip or text named gz": (
        HEAD + READ.format("x.gz") + "\nCaused by: java.io.IOException: not a gzip file",
        3,
        ["x.gz"],
    ),
    "full disk": (
        HEAD + "org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 1.0 failed 1 times\n"
        "Caused by: java.io.IOException: No space left on device\n\tat java.base/x",
        6,
        ["disk is full", "No space left on device"],
    ),
    "database away": (
        HEAD + "org.postgresql.util.PSQLException: Connection to db.shop:5432 refused. Check it.\n"
        "Caused by: java.net.ConnectException: Connection refused",
        6,
        ["db.shop:5432 does not answer"],
    ),
    "no such host": (HEAD + "java.net.UnknownHostException: store.invalid", 6, ["store.invalid does not answer"]),
    "no driver": (HEAD + "java.sql.SQLException: No suitable driver\n\tat java.sql/x", 6, ["JDBC driver"]),
    "no s3a": (
        HEAD + "java.lang.RuntimeException: java.lang.ClassNotFoundException: Class "
        "org.apache.hadoop.fs.s3a.S3AFileSystem not found",
        6,
        ["kind of storage"],
    ),
    "two writers": (
        HEAD + "io.delta.exceptions.ConcurrentAppendException: [DELTA_CONCURRENT_APPEND] Files were added",
        5,
        ["another writer", "[DELTA_CONCURRENT_APPEND]"],
    ),
    "a check": (
        HEAD + "org.apache.spark.sql.delta.schema.DeltaInvariantViolationException: "
        "[DELTA_VIOLATE_CONSTRAINT_WITH_VALUES] CHECK constraint a (id > 0) violated",
        4,
        ["CHECK constraint a"],
    ),
    "file of a table gone": (
        HEAD + "org.apache.spark.SparkException: [FAILED_READ_FILE.FILE_NOT_EXIST] Encountered error reading file "
        "file:///lake/gold/t/part-0.parquet.",
        3,
        ["/lake/gold/t/part-0.parquet is not there"],
    ),
    "memory": (HEAD + "java.lang.OutOfMemoryError: Java heap space", 6, ["out of memory"]),
    "worker": (
        HEAD + "org.apache.spark.SparkException: Python worker exited unexpectedly (crashed).\n"
        "Caused by: java.io.EOFException",
        6,
        ["ended at work", "Python worker exited"],
    ),
    "JVM gone": ("An error occurred while calling o61.sc", 6, ["ended at work"]),
    "value": ("[CAST_INVALID_INPUT] The value 'abc' cannot be cast to INT", 3, ["[CAST_INVALID_INPUT]", "'abc'"]),
    "udf": (
        "An exception was thrown from the Python worker. Please see the stack trace below.\nTraceback:\n  File x\n"
        "ValueError: no such unit\n\nJVM stacktrace:\norg.apache.spark.api.python.PythonException: Traceback",
        1,
        ["ValueError: no such unit"],
    ),
    "unforeseen": (HEAD + "com.acme.OddException: odd thing\n\tat com.acme.X", 1, ["OddException: odd thing"]),
}


@pytest.mark.parametrize("name", TRACES)
def test_a_java_trace_becomes_a_message_with_the_right_code(name: str) -> None:
    trace, code, told = TRACES[name]
    explained = explain(Py4JError(trace))
    assert explained.exit_code == code, explained.what
    for words in told:
        assert words in explained.what
    assert "Py4J" not in explained.what
    assert "An error occurred while calling" not in explained.what or name == "JVM gone"
    assert "\n" not in explained.what


def test_an_error_of_the_house_behind_another_is_the_one_told() -> None:
    outer = RuntimeError("wrapped")
    outer.__cause__ = InputError("the file x is bad.", fix="mend x")
    assert explain(outer).what == "the file x is bad."


@pytest.mark.parametrize(("number", "code"), [(errno.ENOSPC, 6), (errno.EACCES, 6), (errno.EROFS, 6), (errno.EBADF, 1)])
def test_errors_of_the_file_system_have_a_code(number: int, code: int) -> None:
    assert explain(OSError(number, "said by the system", "/lake/x")).exit_code == code


def test_a_bug_of_our_own_is_not_taken_for_bad_input() -> None:
    explained = explain(ValueError("EOFException in a sentence"))
    assert (explained.exit_code, explained.fix) == (1, "")
