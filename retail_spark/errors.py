"""What can go wrong, by kind. Every message says what happened and how to mend it."""

from __future__ import annotations


class RetailSparkError(Exception):
    """Base of all errors raised on purpose; carries an exit code and the fix."""

    exit_code = 1

    def __init__(self, what: str, *, fix: str) -> None:
        self.what = what
        self.fix = fix
        super().__init__(f"{what}\n  fix: {fix}")


class UsageError(RetailSparkError):
    """A wrong command or setting: unknown key, wrong type or unit, unreadable settings file."""

    exit_code = 2


class InputError(RetailSparkError):
    """Input data that cannot be used: missing file or column, too many bad rows, an empty table."""

    exit_code = 3


class ContractError(RetailSparkError):
    """A table that breaks its contract, or a quality check that failed. Nothing was written."""

    exit_code = 4


class LeaseHeldError(RetailSparkError):
    """Another run of the same job on the same lake is alive, or took this run's lease over."""

    exit_code = 5


class ServiceMissingError(RetailSparkError):
    """A service that the job needs is not there: Java, MLflow, storage, a package repository."""

    exit_code = 6
