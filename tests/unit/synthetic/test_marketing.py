from __future__ import annotations

from retail_spark.synthetic.marketing import CENTS_PER_LINE, daily_cents
from retail_spark.synthetic.settings import JobSettings, World


def test_a_day_costs_its_share_of_the_lines_that_are_expected() -> None:
    world = World.of(JobSettings.model_validate({"size": "tiny", "weeks": 10, "sale_lines": 7_000}))
    assert daily_cents(world) == {channel: 100 * cents for channel, cents in CENTS_PER_LINE.items()}
