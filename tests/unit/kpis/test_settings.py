from __future__ import annotations

import pytest

from retail_spark.engine.settings_layers import resolve
from retail_spark.errors import UsageError
from retail_spark.tables.kpis import KPIS_DAILY, KPIS_WEEKLY


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="write it as Europe/Berlin"):
        resolve(sets=["kpis.time_zone=Berlin"])


def test_both_tables_hold_the_same_figures_each_defined_once() -> None:
    daily, weekly = ([c for c in t.columns if c.name not in ("day", "week")] for t in (KPIS_DAILY, KPIS_WEEKLY))
    assert daily == weekly
    assert all(column.comment for column in daily)
