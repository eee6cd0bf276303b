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

from retail_spark.domains.recommend.models.blend import (
    PRODUCT_FEATURES,
    Blend,
    Customers,
    Products,
    Ranking,
    Recipe,
    confident,
    fold_in,
    rank_products,
)
from retail_spark.tables.values import DEFAULT_CUSTOMER, STRATEGIES

ARRAYS = (
    "product_factors", "product_features", "customer_factors", "starts", "places", "orders", "decayed",
    "is_shown", "categories",
)  # fmt: skip
COLUMNS = ("list", "customer_id", "rank", "product_id", "score", "strategy")
Row = tuple[str, str, int, str, float, str]
_LISTED = ("recent_product_ids", "candidate_product_ids")


@dataclass(frozen=True)
class Asked:
    """One customer of a request: what was bought since the model was learned, and which products are to be ranked.

    `recent` has one entry an order; `candidates` None: all products that may be shown.
    """

    customer_id: str
    recent: tuple[str, ...] = ()
    candidates: tuple[str, ...] | None = None


@dataclass(frozen=True)
class ServedModel:
    """Lists for the customers whose factors are held; anybody else gets the popular products of late.

    The history of customer c lies at starts[c] to starts[c + 1] in places (of products), orders and decayed. A list
    shows products that `is_shown` alone, of each of `categories` no more than the `quota`: the rules of the run that
    registered the model, as it found them. `market` holds what the fold-in needs to know of all customers: how many
    there are, their mean decayed orders, and what one fresh order counts (`order_weight`).
    """

    recipe: Recipe
    k: int
    customer_ids: Sequence[str]
    product_ids: Sequence[str]
    arrays: Mapping[str, np.ndarray]
    market: Mapping[str, float]
    quota: int | None = None

    def save(self, folder: Path) -> dict[str, Path]:
        """Writes the files into the folder; gives name -> file."""
        about = {
            "recipe": self.recipe.to_json(),
            "k": self.k,
            "customers": list(self.customer_ids),
            "products": list(self.product_ids),
            "market": dict(self.market),
            "quota": self.quota,
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
        arrays = {name: np.load(files[name], allow_pickle=False, mmap_mode="r") for name in ARRAYS if name in files}
        goods = len(about["products"])  # a model of an older version knew no rules: all is shown
        none = {"is_shown": np.ones(goods, dtype=np.bool_), "categories": np.zeros(goods, dtype=np.int64)}
        recipe = Recipe.from_json(about["recipe"])
        return cls(
            recipe, about["k"], about["customers"], about["products"], none | arrays, about["market"],
            about.get("quota"),
        )  # fmt: skip

    def answer(self, asked: pd.DataFrame | Mapping[str, Any]) -> pd.DataFrame:
        """The lists of the customers in column customer_id; see `requests_of` for what a request may hold."""
        return self.lists(requests_of(asked))

    def lists(self, asked: Sequence[Asked]) -> pd.DataFrame:
        """One row per (list, customer_id, rank), COLUMNS; customers in the order given.

        What a customer bought since joins the history, and the customer's factors are solved anew against the fixed
        factors of the products. Of candidates all that may be shown are ranked, whatever k and quota.
        """
        alike: dict[tuple[str, ...] | None, list[Asked]] = {}
        for one in asked:
            alike.setdefault(one.candidates, []).append(one)
        found = [self._lists(group, candidates) for candidates, group in alike.items()]
        order = {one.customer_id: at for at, one in enumerate(asked)}
        rows = sorted((row for part in found for row in part), key=lambda row: (row[0], order[row[1]], row[2]))
        return pd.DataFrame(rows, columns=list(COLUMNS)).astype({"rank": "int32", "score": "float64"})

    def _lists(self, asked: Sequence[Asked], candidates: tuple[str, ...] | None) -> list[Row]:
        known, customers = self._customers(asked)
        shown = self._shown if candidates is None else self._among(candidates)
        k, quota = (self.k, self.quota) if candidates is None else (len(shown), None)
        if not len(shown):
            return []
        products, here = self._products.only(shown), _only_at(customers, shown, width=len(self.product_ids))
        parts: list[Row] = []
        for name, only_new in (("all", False), ("discover", True)):
            blend = self.recipe.blend(name)
            best = rank_products(here, products, blend=blend, k=k, only_new=only_new, quota=quota)
            popular = rank_products(here, products, blend=Blend(), k=k, only_new=only_new, quota=quota)
            for at, one in enumerate(asked):
                parts += _rows(name, one.customer_id, best if known[at] else popular, at, ids=products.ids)
        return parts

    @cached_property
    def _products(self) -> Products:
        values = self.arrays["product_features"]
        return Products(
            np.asarray(self.product_ids, dtype=object),
            self.arrays["product_factors"],
            {name: values[:, at] for at, name in enumerate(PRODUCT_FEATURES)},
            categories=self.arrays["categories"],
        )

    @cached_property
    def _shown(self) -> np.ndarray:
        return np.flatnonzero(self.arrays["is_shown"])

    @cached_property
    def _place_of(self) -> dict[str, int]:
        return {product: at for at, product in enumerate(self.product_ids)}

    @cached_property
    def _number_of(self) -> dict[str, int]:
        return {customer: at for at, customer in enumerate(self.customer_ids)}

    def _among(self, candidates: Sequence[str]) -> np.ndarray:
        """The places of the candidates that are known and may be shown."""
        places = {self._place_of[product] for product in candidates if product in self._place_of}
        return np.asarray(sorted(at for at in places if self.arrays["is_shown"][at]), dtype=np.int64)

    def example(self) -> pd.DataFrame:
        """A customer who is held, if there is one, and a stranger who bought a first product, with two to choose of."""
        customers = [*self.customer_ids[:1], "somebody"][:1]
        return pd.DataFrame(
            {
                "customer_id": [*customers, DEFAULT_CUSTOMER],
                "recent_product_ids": [None, list(self.product_ids[:1])],
                "candidate_product_ids": [None, list(self.product_ids[:2])],
            }
        )

    def _customers(self, asked: Sequence[Asked]) -> tuple[list[bool], Customers]:
        """The asked customers, and whether each is known: one who is not has no factors and no history."""
        factors = np.zeros((len(asked), self.arrays["product_factors"].shape[1]), dtype=np.float32)
        weight = self.market.get("order_weight", 1.0)
        entries: list[tuple[int, int, float, float]] = []
        known: list[bool] = []
        for row, one in enumerate(asked):
            number = self._number_of.get(one.customer_id)
            own = self._history(number)
            fresh = [self._place_of[product] for product in one.recent if product in self._place_of]
            for place in fresh:
                orders, decayed = own.get(place, (0.0, 0.0))
                own[place] = (orders + 1.0, decayed + weight)
            if fresh:
                factors[row] = self._folded(own)
            elif number is not None:
                factors[row] = self.arrays["customer_factors"][number]
            known.append(bool(fresh) or number is not None)
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


def requests_of(asked: pd.DataFrame | Mapping[str, Any]) -> list[Asked]:
    """The customers of a request, in order: a table, a dict of columns, or a dict of one customer's values.

    customer_id: texts or whole numbers; nothing there is a stranger. recent_product_ids, if there: a list of products
    bought since the model was learned. candidate_product_ids, if there: a list of the products to be ranked. Equal
    rows are one. Raises ValueError where one customer has two rows that differ: which one counts is not for us to say.
    """
    table = _table(asked)
    if "customer_id" not in table.columns:
        raise ValueError(f"the request has no column customer_id; it has: {', '.join(map(str, table.columns))}")
    columns = [table[name] if name in table.columns else [None] * len(table) for name in _LISTED]
    found: dict[str, Asked] = {}
    for who, recent, candidates in zip(table["customer_id"], *columns, strict=True):
        customer = _id(who)
        one = Asked(customer, _ids(recent) or (), _ids(candidates))
        if found.setdefault(customer, one) != one:
            raise ValueError(
                f"customer {customer} is asked for twice with different recent_product_ids or candidate_product_ids: "
                "put all of it into one row"
            )
    return list(found.values())


def _table(asked: pd.DataFrame | Mapping[str, Any]) -> pd.DataFrame:
    """The request as a table; a cell that holds several customers is one row each."""
    if isinstance(asked, Mapping):
        several = _is_list(asked.get("customer_id"))
        asked = pd.DataFrame({k: list(v) for k, v in asked.items()} if several else {k: [v] for k, v in asked.items()})
    if "customer_id" not in asked.columns or not any(_is_list(who) for who in asked["customer_id"]):
        return asked
    rows: list[dict[str, Any]] = []
    for row in asked.to_dict("records"):
        people = list(row["customer_id"]) if _is_list(row["customer_id"]) else [row["customer_id"]]
        for name in set(_LISTED) & set(row):
            is_one_each = _is_list(row[name]) and len(row[name]) == len(people) and any(map(_is_list, row[name]))
            row[name] = list(row[name]) if is_one_each else [row[name]] * len(people)
        for at, who in enumerate(people):
            rows.append({"customer_id": who} | {name: row[name][at] for name in _LISTED if name in row})
    return pd.DataFrame(rows, columns=[c for c in ("customer_id", *_LISTED) if c in asked.columns])


def _is_list(value: Any) -> bool:
    return isinstance(value, list | tuple | set | np.ndarray | pd.Series)


def _id(value: Any) -> str:
    """An id as text: 12346.0, as a column with gaps holds it, is 12346; a missing id is DEFAULT_CUSTOMER."""
    if value is None or value is pd.NA or (isinstance(value, float | np.floating) and np.isnan(value)):
        return DEFAULT_CUSTOMER
    if isinstance(value, float | np.floating) and float(value).is_integer():
        return str(int(value))
    return str(value)


def _ids(value: Any) -> tuple[str, ...] | None:
    """A cell's product ids; None where nothing was given. One text is one product."""
    if _is_list(value):
        return tuple(_id(product) for product in value)
    return None if _id(value) == DEFAULT_CUSTOMER else (_id(value),)


def _only_at(customers: Customers, shown: np.ndarray, *, width: int) -> Customers:
    """The customers with those entries of their histories whose product is at one of these places, renumbered."""
    new = np.full(width, -1, dtype=np.int32)
    new[shown] = np.arange(len(shown), dtype=np.int32)
    place = new[customers.place]
    kept = place >= 0
    return Customers(
        customers.factors, customers.row[kept], place[kept], customers.orders[kept], customers.decayed[kept]
    )


def _rows(name: str, customer: str, ranking: Ranking, at: int, *, ids: np.ndarray) -> list[Row]:
    found = zip(ranking.places[at], ranking.scores[at], ranking.strategies[at], strict=True)
    return [
        (name, customer, rank + 1, str(ids[place]), float(score), STRATEGIES[code])
        for rank, (place, score, code) in enumerate(found)
        if score >= 0
    ]
