"""The model outside Spark: numpy and JSON files, and the lists made from them. Nothing here needs Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from retail_spark.recommend.model import (
    PRODUCT_FEATURES,
    STRATEGIES,
    Blend,
    Customers,
    Products,
    Ranking,
    Recipe,
    confident,
    fold_in,
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
    `market` holds what BM25 needs to know of all customers: how many there are, and their mean decayed orders.
    """

    recipe: Recipe
    k: int
    customer_ids: Sequence[str]
    product_ids: Sequence[str]
    arrays: Mapping[str, np.ndarray]
    market: Mapping[str, float]

    def save(self, folder: Path) -> dict[str, Path]:
        """Writes the files into the folder; gives name -> file."""
        about = {
            "recipe": self.recipe.to_json(),
            "k": self.k,
            "customers": list(self.customer_ids),
            "products": list(self.product_ids),
            "market": dict(self.market),
        }
        files = {"about": folder / "about.json"}
        files["about"].write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        for name in ARRAYS:
            files[name] = folder / f"{name}.npy"
            np.save(files[name], self.arrays[name], allow_pickle=False)
        return files

    @classmethod
    def load(cls, files: Mapping[str, str | Path]) -> ServedModel:
        """Reads what `save` wrote; big arrays stay on disk and are read by key."""
        about: dict[str, Any] = json.loads(Path(files["about"]).read_text(encoding="utf-8"))
        arrays = {name: np.load(files[name], allow_pickle=False, mmap_mode="r") for name in ARRAYS}
        recipe = Recipe.from_json(about["recipe"])
        return cls(recipe, about["k"], about["customers"], about["products"], arrays, about["market"])

    def lists(self, customer_ids: Sequence[str], *, recent: Mapping[str, Sequence[str]] | None = None) -> pd.DataFrame:
        """One row per (list, customer_id, rank), COLUMNS; customers in the order given, each once.

        `recent` are products that a customer bought since the model was learned, one entry an order: they join the
        history, and the customer's factors are solved anew against the fixed factors of the products.
        """
        asked = list(dict.fromkeys(customer_ids))
        known, customers = self._customers(asked, recent or {})
        values = self.arrays["product_features"]
        features = {name: values[:, at] for at, name in enumerate(PRODUCT_FEATURES)}
        products = Products(np.asarray(self.product_ids, dtype=object), self.arrays["product_factors"], features)
        parts: list[tuple[str, str, int, str, float, str]] = []
        for name, blend, only_new in (("all", self.recipe.all, False), ("discover", self.recipe.discover, True)):
            best = rank_products(customers, products, blend=blend, k=self.k, only_new=only_new)
            popular = rank_products(customers, products, blend=Blend(), k=self.k, only_new=only_new)
            for at, customer in enumerate(asked):
                parts += self._rows(name, customer, best if known[at] else popular, at)
        return pd.DataFrame(parts, columns=list(COLUMNS)).astype({"rank": "int32", "score": "float64"})

    def answer(self, asked: pd.DataFrame) -> pd.DataFrame:
        """The lists of the customers in column customer_id; recent_product_ids may hold what each bought since."""
        customers = asked["customer_id"].astype(str).tolist()
        if "recent_product_ids" not in asked.columns:
            return self.lists(customers)
        given = zip(customers, asked["recent_product_ids"], strict=True)
        return self.lists(customers, recent={who: list(what) for who, what in given if what is not None})

    def example(self) -> pd.DataFrame:
        """A customer who is held, if there is one, and a stranger who bought a first product."""
        customers, bought = (
            [*self.customer_ids[:1], "*"],
            [*([None] * len(self.customer_ids[:1])), list(self.product_ids[:1])],
        )
        return pd.DataFrame({"customer_id": customers, "recent_product_ids": bought})

    def _rows(self, name: str, customer: str, ranking: Ranking, at: int) -> list[tuple[str, str, int, str, float, str]]:
        found = zip(ranking.places[at], ranking.scores[at], ranking.strategies[at], strict=True)
        return [
            (name, customer, rank + 1, str(self.product_ids[place]), float(score), STRATEGIES[code])
            for rank, (place, score, code) in enumerate(found)
            if score >= 0
        ]

    def _customers(self, asked: Sequence[str], recent: Mapping[str, Sequence[str]]) -> tuple[list[bool], Customers]:
        """The asked customers, and whether each is known: one who is not has no factors and no history."""
        number = {customer: at for at, customer in enumerate(self.customer_ids)}
        place_of = {product: at for at, product in enumerate(self.product_ids)} if recent else {}
        factors = np.zeros((len(asked), self.arrays["product_factors"].shape[1]), dtype=np.float32)
        entries: list[tuple[int, int, float, float]] = []
        known: list[bool] = []
        for row, customer in enumerate(asked):
            own = self._history(number.get(customer))
            fresh = [place_of[product] for product in recent.get(customer, ()) if product in place_of]
            for place in fresh:
                orders, decayed = own.get(place, (0.0, 0.0))
                own[place] = (orders + 1.0, decayed + 1.0)
            if fresh:
                factors[row] = self._folded(own)
            elif customer in number:
                factors[row] = self.arrays["customer_factors"][number[customer]]
            known.append(bool(fresh) or customer in number)
            entries += [(row, place, *counts) for place, counts in own.items()]
        table = np.asarray(entries, dtype=np.float64).reshape(-1, 4)
        ints, floats = table[:, :2].astype(np.int32), table[:, 2:].astype(np.float32)
        return known, Customers(factors, ints[:, 0], ints[:, 1], floats[:, 0], floats[:, 1])

    def _history(self, number: int | None) -> dict[int, tuple[float, float]]:
        """Place of a product -> (orders, decayed) of a customer who is held."""
        if number is None:
            return {}
        own = slice(int(self.arrays["starts"][number]), int(self.arrays["starts"][number + 1]))
        columns = (self.arrays[name][own].tolist() for name in ("places", "orders", "decayed"))
        return {int(place): (orders, decayed) for place, orders, decayed in zip(*columns, strict=True)}

    def _folded(self, history: Mapping[int, tuple[float, float]]) -> np.ndarray:
        places = np.asarray(list(history), dtype=np.int64)
        decayed = np.asarray([counts[1] for counts in history.values()], dtype=np.float64)
        buyers = self.arrays["product_features"][places, PRODUCT_FEATURES.index("buyers")].astype(np.float64)
        weights = confident(decayed, buyers, confidence=self.recipe.confidence, market=self.market)
        return fold_in(self.arrays["product_factors"][places], self._gram, weights, recipe=self.recipe)

    @cached_property
    def _gram(self) -> np.ndarray:
        factors = self.arrays["product_factors"].astype(np.float64)
        return np.asarray(factors.T @ factors)
