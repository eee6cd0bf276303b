"""The served model: price and context to units, with an interval. Needs numpy and pandas, not Spark."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

_NORMAL = 1.96
COLUMNS = ("level", "member", "elasticity", "std_error")


@dataclass(frozen=True)
class DemandModel:
    """Elasticities by product, by category, and of all (member `*`), each with its standard deviation."""

    known: pd.DataFrame
    """COLUMNS; level is product, category or all."""

    def answer(self, asked: pd.DataFrame) -> pd.DataFrame:
        """Units at a price, with a 95 % interval of the price's effect; one row per row asked, in order.

        Asked are price, and as context product_id, category (may be empty), and units sold at reference_price. A
        product that is not known has its category's elasticity, a category that is not known that of all. Where a
        price or the reference is not above zero, units are NaN: at a price of 0 no elasticity tells anything.
        """
        by_product, by_category = self._by("product"), self._by("category")
        everything = self._by("all").iloc[0]
        product, category = asked["product_id"].astype(str), asked["category"].astype(str)
        found = {}
        for name in ("elasticity", "std_error"):
            own = product.map(by_product[name])
            found[name] = (
                own.fillna(category.map(by_category[name])).fillna(everything[name]).to_numpy(dtype=np.float64)
            )
        prices = [asked[name].to_numpy(dtype=np.float64) for name in ("price", "reference_price")]
        logs = [np.log(np.where((price > 0) & np.isfinite(price), price, np.nan)) for price in prices]
        change = logs[0] - logs[1]
        units = asked["reference_units"].to_numpy(dtype=np.float64)
        reach = _NORMAL * found["std_error"] * np.abs(change)
        middle = found["elasticity"] * change
        answer = {"units": middle, "units_low": middle - reach, "units_high": middle + reach}
        with np.errstate(over="ignore", invalid="ignore"):
            table = {name: units * np.exp(value) for name, value in answer.items()}
        table = {name: np.where(np.isfinite(values), values, np.nan) for name, values in table.items()}
        return pd.DataFrame({**table, "elasticity": found["elasticity"]})

    def _by(self, level: str) -> pd.DataFrame:
        return self.known[self.known["level"] == level].set_index("member")[["elasticity", "std_error"]]

    def save(self, folder: Path) -> dict[str, Path]:
        """Writes the files into the folder; gives name -> file."""
        files = {"elasticities": folder / "elasticities.json"}
        self.known[list(COLUMNS)].to_json(files["elasticities"], orient="records", double_precision=15)
        return files

    @classmethod
    def load(cls, files: Mapping[str, str | Path]) -> DemandModel:
        """Reads what `save` wrote."""
        kinds = {"level": str, "member": str, "elasticity": float, "std_error": float}
        known = pd.read_json(Path(files["elasticities"]), orient="records", dtype=kinds, convert_dates=False)
        return cls(known[list(COLUMNS)])
