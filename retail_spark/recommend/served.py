"""The model outside Spark: numpy and JSON files, and the lists made from them. Nothing here needs Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retail_spark.recommend.model import (
    PRODUCT_FEATURES,
    Blend,
    Customers,
    Products,
    Recipe,
    rank_products,
)

ARRAYS = (
    "customer_factors", "product_factors", "product_features", "starts", "places", "orders", "decayed",
)  # fmt: skip
COLUMNS = ("list", "customer_id", "rank", "product_id", "score", "strategy")


@dataclass(frozen=True)
class ServedModel:
    """Lists for the customers whose factors are held; anybody else gets the popular products of late.

    The history of customer c lies at starts[c] to starts[c + 1] in places (of products), orders and decayed.
    """

    recipe: Recipe
    k: int
    customer_ids: Sequence[str]
    product_ids: Sequence[str]
    arrays: Mapping[str, np.ndarray]

    def save(self, folder: Path) -> dict[str, Path]:
        """Writes the files into the folder; gives name -> file."""
        about = {
            "recipe": self.recipe.to_json(),
            "k": self.k,
            "customers": list(self.customer_ids),
            "products": list(self.product_ids),
        }
        files = {"about": folder / "about.json"}
        files["about"].write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        for name in ARRAYS:
            files[name] = folder / f"{name}.npy"
            np.save(files[name], self.arrays[name], allow_pickle=False)
        return files

    @classmethod
    def load(cls, files: Mapping[str, str | Path]) -> ServedModel:
        """Reads what `save` wrote."""
        about: dict[str, Any] = json.loads(Path(files["about"]).read_text(encoding="utf-8"))
        arrays = {name: np.load(files[name], allow_pickle=False) for name in ARRAYS}
        return cls(Recipe.from_json(about["recipe"]), about["k"], about["customers"], about["products"], arrays)

    def lists(self, customer_ids: Sequence[str]) -> pd.DataFrame:
        """One row per (list, customer_id, rank), COLUMNS; customers in the order given, each once."""
        number = {customer: at for at, customer in enumerate(self.customer_ids)}
        asked = list(dict.fromkeys(customer_ids))
        customers = self._customers([number.get(customer) for customer in asked])
        values = self.arrays["product_features"]
        features = {name: values[:, at] for at, name in enumerate(PRODUCT_FEATURES)}
        products = Products(np.asarray(self.product_ids, dtype=object), self.arrays["product_factors"], features)
        known = [customer in number for customer in asked]
        parts = []
        for name, blend, only_new in (("all", self.recipe.all, False), ("discover", self.recipe.discover, True)):
            parts += self._ranked(name, asked, known, customers, products, blend=blend, only_new=only_new)
        return pd.DataFrame(parts, columns=list(COLUMNS)).astype({"rank": "int32", "score": "float64"})

    def example(self) -> pd.DataFrame:
        """A customer who is held, if there is one, and a stranger."""
        return pd.DataFrame({"customer_id": [*self.customer_ids[:1], "*"]})

    def _ranked(
        self,
        name: str,
        asked: Sequence[str],
        known: Sequence[bool],
        customers: Customers,
        products: Products,
        *,
        blend: Blend,
        only_new: bool,
    ) -> list[tuple[str, str, int, str, float, str]]:
        best = rank_products(customers, products, blend=blend, k=self.k, only_new=only_new)
        popular = rank_products(customers, products, blend=Blend(), k=self.k, only_new=only_new)
        rows = []
        for at, customer in enumerate(asked):
            found = best if known[at] else popular
            for rank, place in enumerate(found.places[at]):
                score = float(found.scores[at, rank])
                if score >= 0:
                    product = str(products.ids[place])
                    rows.append((name, customer, rank + 1, product, score, str(found.strategies[at, rank])))
        return rows

    def _customers(self, numbers: Sequence[int | None]) -> Customers:
        """The asked customers; one who is not held has no factors and no history."""
        factors = np.zeros((len(numbers), self.arrays["product_factors"].shape[1]), dtype=np.float32)
        rows, entries = [], []
        starts = self.arrays["starts"]
        for row, number in enumerate(numbers):
            if number is not None:
                factors[row] = self.arrays["customer_factors"][number]
                own = np.arange(starts[number], starts[number + 1])
                rows.append(np.full(len(own), row, dtype=np.int32))
                entries.append(own)
        row_of = np.concatenate(rows) if rows else np.zeros(0, dtype=np.int32)
        entry = np.concatenate(entries) if entries else np.zeros(0, dtype=np.int64)
        places = self.arrays["places"][entry].astype(np.int32)
        return Customers(factors, row_of, places, self.arrays["orders"][entry], self.arrays["decayed"][entry])
