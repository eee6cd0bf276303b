"""How soon a change of lateness is told at one false alarm a supplier-decade, and how soon it could be told at all.

Made-up suppliers, their rates spread around 15 % (standard deviation .8 of log odds) as those of the synthetic retailer
are, with so many shipments a week for four years. Weeks are counted from the change to the promised day of the last
shipment that was needed; the job judges a shipment seven days later, which comes on top. In brackets stands Lorden's
bound for the mean of a typical supplier, both of its rates known: no detector with as few false alarms is sooner.

    python -m tests.benchmarks.suppliers_changes [--suppliers 1000]
"""

from __future__ import annotations

import argparse

import numpy as np

from retail_spark.domains.supplier_risk.settings import JobSettings
from retail_spark.stats.change_detection import SHARES, Alarm, History, Rule, detect, fewest_days

WEEKS_BAR = 3.0
YEARS, TYPICAL, SPREAD = 4, np.log(0.15 / 0.85), 0.8
MEAN_RATE = 0.173
"""The mean of such rates: what is expected of a supplier that nothing is known of."""
RATES = (1, 2, 3, 7, 14, 35)
JUMPS = (1.5, 2.5, 3.5)
BOTH = SHARES["supplier", "late"]


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--suppliers", type=int, default=1000)
    count = arguments.parse_args().suppliers
    own = JobSettings()
    rule = Rule(own.odds_ratio, own.false_alarm_years, own.min_known, own.prior_weight)
    allowed = sum(BOTH) * 10 / rule.years
    print(f"{count:,} suppliers a figure; the two charts of lateness may spend {allowed:.2f} false alarms a decade")
    print(f"{'a week':>7}{'false':>8}" + "".join(f"{f'log odds + {jump}':>22}" for jump in JUMPS))
    for rate in RATES:
        rng = np.random.default_rng(rate)
        alarms = [alarm for _ in range(count) for alarm in one(rate, 0.0, None, rule=rule, rng=rng)]
        told = f"{rate:>7}{len(alarms) / (count * YEARS / 10):8.2f}"
        for jump in JUMPS:
            told += f"{delays(rate, jump, count, rule=rule, rng=rng):>22}"
        print(told, flush=True)


def delays(rate: float, jump: float, count: int, *, rule: Rule, rng: np.random.Generator) -> str:
    """Median weeks, the bound, and whether the bar is reached."""
    waits = []
    for _ in range(count):
        at = int(rng.integers(365, 3 * 365))
        seen = [a.seen_day for a in one(rate, jump, at, rule=rule, rng=rng) if a.is_up and a.seen_day >= at]
        waits.append((seen[0] - at) / 7 if seen else np.inf)
    to = float(odds_to_rate(TYPICAL + jump))
    bound = fewest_days(0.15, to, shipments_a_day=rate / 7, years=rule.years, share=BOTH[0]) / 7
    return f"{np.median(waits):.1f} ({bound:.1f}) {'reached' if np.median(waits) <= WEEKS_BAR else 'missed'}"


def one(rate: float, jump: float, at: int | None, *, rule: Rule, rng: np.random.Generator) -> list[Alarm]:
    """The alarms of one made-up supplier."""
    days = round(YEARS * 365.25)
    odds = np.full(days, TYPICAL + SPREAD * rng.normal())
    if at is not None:
        odds[at:] += jump
    shipments = rng.poisson(rate / 7, days)
    late = rng.binomial(shipments, odds_to_rate(odds))
    told = np.flatnonzero(shipments)
    ones = np.ones(len(told))
    history = History(told, shipments[told].astype(float), late[told].astype(float), MEAN_RATE * ones, ones)
    return detect(history, rule=rule, shares=BOTH)


def odds_to_rate(odds: np.ndarray | float) -> np.ndarray | float:
    """The probability of these log odds."""
    return 1 / (1 + np.exp(-odds))


if __name__ == "__main__":
    main()
