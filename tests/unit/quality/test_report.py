"""What a report says, and its rows for ops.expectations."""

from datetime import datetime

import pytest

from retail_spark.errors import ContractError
from retail_spark.quality.report import EXPECTATIONS, CheckReport, CheckResult, expectation_rows

NULL_CHECK = "expect_column_values_to_not_be_null"
CHECKED_AT = datetime(2024, 1, 31, 12, 0, 0)
PASSED = CheckResult(NULL_CHECK, ("sale_id",), "sale_id IS NOT NULL", True, 0)
FAILED = CheckResult(
    NULL_CHECK, ("unit_price",), "unit_price >= 0", False, 1234, ("sale_id=s1, unit_price=-1.0", "sale_id=s2, …")
)


def test_report_without_failures_raises_nothing():
    report = CheckReport("silver.sales", 10, (PASSED,))
    report.raise_if_failed()
    assert report.failed == ()


def test_failed_report_names_table_rule_count_examples_and_a_fix():
    with pytest.raises(ContractError) as raised:
        CheckReport("silver.sales", 5000, (PASSED, FAILED)).raise_if_failed()
    message = str(raised.value)
    assert raised.value.exit_code == 4
    for part in ("silver.sales", "1 of 2 checks", "5,000 rows", "unit_price >= 0", "1,234", "sale_id=s1", "fix:"):
        assert part in message
    assert "sale_id IS NOT NULL" not in message


def test_expectation_rows_follow_the_contract_and_hold_no_example_row():
    rows = expectation_rows(
        [CheckReport("silver.sales", 5000, (PASSED, FAILED))], run_id="r1", attempt=2, checked_at=CHECKED_AT
    )
    assert [tuple(row) for row in rows] == [EXPECTATIONS.names] * 2
    assert rows[1] == {
        "run_id": "r1",
        "attempt": 2,
        "table_name": "silver.sales",
        "expectation": NULL_CHECK,
        "column_name": "unit_price",
        "rule": "unit_price >= 0",
        "success": False,
        "rows": 5000,
        "unexpected": 1234,
        "checked_at": CHECKED_AT,
    }
    assert "s1" not in str(rows)


def test_rows_of_people_are_shown_but_not_part_of_what_is_recorded():
    personal = CheckResult(NULL_CHECK, ("age",), "age > 0", False, 1, ("customer_id=ann, age=-1",), is_personal=True)
    with pytest.raises(ContractError) as raised:
        CheckReport("silver.people", 1, (personal,)).raise_if_failed()
    assert "ann" not in raised.value.what
    assert "customer_id=ann" in raised.value.fix
