"""Which price to set: expected margin over draws of the elasticity, on the grid of prices that may be set."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from retail_spark.stats.arrays import Array

MOST_PRICES = 400
_HARDLY = 1e-9


@dataclass(frozen=True)
class PriceRules:
    """What a recommended price must keep to; see the settings of the same names."""

    max_change: float | None
    min_margin: float
    endings: tuple[int, ...]
    step: float
    horizon: int


@dataclass(frozen=True)
class Item:
    """A product in a store: what is known of it today. Prices and cost in shop currency, units a period."""

    price: float
    cost: float
    units: float
    elasticity: float
    std_error: float
    ci_high: float
    lowest: float
    highest: float
    """Range of prices that was observed."""
    ladder_low: float = 0.0
    ladder_high: float = np.inf
    stock: float = np.inf
    """Units on hand; they cap what is sold over the horizon."""


@dataclass(frozen=True)
class Advice:
    """What to do about the price of an item."""

    price: float
    units_change: float | None
    margin_change: float | None
    chance_of_gain: float | None
    bound_hit: str
    reason: str
    is_recommended: bool


def stays(price: float, reason: str) -> Advice:
    """No change, and why."""
    return Advice(price, None, None, None, "none", reason, False)


def draws_of(elasticity: float, std_error: float, normals: Array) -> Array:
    """Draws of the posterior; demand never rises with the price."""
    drawn: Array = np.minimum(elasticity + std_error * normals, 0.0)
    return drawn


def units_at(prices: Array, item: Item, draws: Array) -> Array:
    """Units a period (prices, draws) at constant elasticity."""
    with np.errstate(over="ignore"):  # of an absurd spread: such an advice is refused
        units: Array = item.units * (prices[:, None] / item.price) ** draws[None, :]
    return units


def margins_at(prices: Array, item: Item, draws: Array, *, horizon: int) -> Array:
    """Margin a period (prices, draws); what is sold over the horizon is capped by the stock."""
    sold = np.minimum(units_at(prices, item, draws) * horizon, item.stock) / horizon
    margins: Array = (prices[:, None] - item.cost) * sold
    return margins


def bounds_of(item: Item, rules: PriceRules) -> tuple[tuple[float, str], tuple[float, str]]:
    """The lowest and the highest price allowed, each with the rule that sets it."""
    change = rules.max_change
    lows = [
        (item.lowest, "observed_range"),
        (item.ladder_low, "ladder"),
        (item.cost / (1 - rules.min_margin), "min_margin"),
    ]
    highs = [(item.highest, "observed_range"), (item.ladder_high, "ladder")]
    if change is not None:
        lows.append((item.price * (1 - change), "max_change"))
        highs.append((item.price * (1 + change), "max_change"))
    return max(lows), min(highs)


def grid_of(low: float, high: float, rules: PriceRules) -> Array:
    """Prices from low to high, in steps, whose last digit in cents may be set; thinned evenly where there are many."""
    first, last = np.ceil(low / rules.step - _HARDLY), np.floor(high / rules.step + _HARDLY)
    if last < first:
        return np.zeros(0)
    every = max(1, int((last - first) // (MOST_PRICES * 10)))
    prices = np.arange(first, last + 1, every) * rules.step
    if rules.endings:
        cents = np.round(prices * 100).astype(np.int64)
        prices = prices[np.isin(cents % 10, rules.endings)]
    thin = max(1, -(-len(prices) // MOST_PRICES))
    grid: Array = np.round(prices[::thin], 4)
    return grid


def recommend(item: Item, rules: PriceRules, normals: Array) -> Advice:
    """The price of the greatest expected margin, or today's, and why."""
    is_inelastic = item.ci_high > -1
    if is_inelastic and rules.max_change is None:
        return stays(item.price, "an elasticity above -1 is plausible and no largest change is set")
    (low, low_rule), (high, high_rule) = bounds_of(item, rules)
    grid = grid_of(low, high, rules)
    if not len(grid):
        return stays(item.price, f"no price keeps all rules ({low_rule} and {high_rule})")
    draws = draws_of(item.elasticity, item.std_error, normals)
    margins = margins_at(grid, item, draws, horizon=rules.horizon)
    today = margins_at(np.array([item.price]), item, draws, horizon=rules.horizon)[0]
    best = int(np.argmax(margins.mean(axis=1)))
    gain = margins[best] - today
    chance = float((gain > 0).mean())
    is_same = abs(grid[best] - item.price) < rules.step / 2
    if is_same or gain.mean() <= _HARDLY or chance < 0.5:
        return stays(item.price, "no allowed price has a clearly greater expected margin")
    units = units_at(grid[[best]], item, draws)[0]
    bound, reason = _why(best, len(grid), low_rule, high_rule, is_inelastic=is_inelastic, up=grid[best] > item.price)
    if float(np.mean(units * rules.horizon >= item.stock)) > 0.5:
        bound, reason = "stock", "the stock on hand would sell out: a higher price loses no sale"
    change = float(units.mean() / item.units - 1)
    if not np.isfinite([change, gain.mean()]).all():
        return stays(item.price, "the expected change is not finite: the elasticity is too uncertain")
    return Advice(float(grid[best]), change, float(gain.mean()), chance, bound, reason, True)


def _why(best: int, count: int, low_rule: str, high_rule: str, *, is_inelastic: bool, up: bool) -> tuple[str, str]:
    way = "a higher" if up else "a lower"
    if best == count - 1 and up:
        if is_inelastic:
            return high_rule, f"demand may be inelastic: the bound ({high_rule}), not demand, sets the price"
        return high_rule, f"{way} price earns more as far as {high_rule} lets it go"
    if best == 0 and not up:
        return low_rule, f"{way} price earns more as far as {low_rule} lets it go"
    return "none", f"{way} price has the greatest expected margin"
