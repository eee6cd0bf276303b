"""Customers made up from known parameters, and the published sample of CDNOW."""

from __future__ import annotations

import numpy as np

from retail_spark.domains.customers.models.beta_geometric import BetaGeometric
from retail_spark.domains.customers.models.cells import Array, Cells
from tests.conftest import DATA_ROOT

TRUE = BetaGeometric(r=0.8, alpha=6.0, a=0.9, b=2.5)


def made_up(customers: int, *, seed: int, weeks: float = 60.0, modified: bool = False) -> Cells:
    """Customers who buy and leave as BG/NBD says; a third of the time they join."""
    rng = np.random.default_rng(seed)
    age = weeks * (1 - rng.random(customers) / 3)
    rate, leaves = rng.gamma(TRUE.r, 1 / TRUE.alpha, customers), rng.beta(TRUE.a, TRUE.b, customers)
    x, t_x, now = np.zeros(customers), np.zeros(customers), np.zeros(customers)
    is_alive = rng.random(customers) > leaves if modified else np.ones(customers, bool)
    while is_alive.any():
        now = now + rng.exponential(1 / rate)
        is_alive &= now < age
        x, t_x = x + is_alive, np.where(is_alive, now, t_x)
        is_alive &= rng.random(customers) > leaves
    return Cells(x, t_x, age, np.ones(customers))


def cdnow(*, decimals: int | None = None) -> tuple[Cells, Array, Array]:
    """Cells of the 2,357 people up to 1997-09-30; repeat purchases and their mean spend of the 946 who came again.

    The published summary has times, and means, in two decimals.
    """
    folder = DATA_ROOT / "cdnow"
    assert folder.is_dir(), f"{folder} is not there: set RETAIL_SPARK__DATA_ROOT to the folder of real data"
    days: dict[str, dict[np.datetime64, float]] = {}
    for line in (folder / "CDNOW_sample.txt").read_text().splitlines():
        _, customer, text, _, dollars = line.split()
        day = np.datetime64(f"{text[:4]}-{text[4:6]}-{text[6:]}")
        if day <= np.datetime64("1997-09-30"):
            bought = days.setdefault(customer, {})
            bought[day] = bought.get(day, 0.0) + float(dollars)
    first = np.array([min(bought) for bought in days.values()])
    x = np.array([len(bought) - 1.0 for bought in days.values()])
    t_x = (np.array([max(bought) for bought in days.values()]) - first).astype(float) / 7
    age = (np.datetime64("1997-09-30") - first).astype(float) / 7
    mean = np.array([(sum(b.values()) - b[min(b)]) / (len(b) - 1) if len(b) > 1 else 0.0 for b in days.values()])
    if decimals is not None:
        t_x, age, mean = t_x.round(decimals), age.round(decimals), mean.round(decimals)
    return Cells(x, t_x, age, np.ones(len(x))), x[x > 0], mean[x > 0]
