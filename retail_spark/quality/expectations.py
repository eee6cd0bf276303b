"""Our own kind of Great Expectations check. Importing this module imports Great Expectations, which takes seconds."""

from __future__ import annotations

from typing import Any

import great_expectations.expectations as gxe
from great_expectations.core.result_format import ResultFormat


class ExpectRowsToKeepRule(gxe.ExpectColumnValuesToNotBeNull):  # type: ignore[misc]  # untyped base
    """Holds where the rule's column is never null, and tells how often it is.

    Great Expectations tells counts (BASIC) only together with example values, which cost a scan for every check, and
    hides them otherwise (BOOLEAN_ONLY), though it has counted. This check asks for no more than BOOLEAN_ONLY does and
    tells what was counted.
    """

    def get_validation_dependencies(
        self, execution_engine: Any = None, runtime_configuration: Any = None, **more: Any
    ) -> Any:
        """The metrics of BOOLEAN_ONLY, to be formatted as BASIC."""
        asked = {**(runtime_configuration or {}), "result_format": ResultFormat.BOOLEAN_ONLY.value}
        found = super().get_validation_dependencies(execution_engine, asked, **more)
        found.result_format = {**found.result_format, "result_format": ResultFormat.BASIC.value}
        return found
