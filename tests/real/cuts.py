"""Cuts of the real files for CI: whole stores, customers or days, so that every series and history stays whole."""

from __future__ import annotations

import csv
import gzip
import io
import shutil
import zlib
from collections.abc import Callable
from pathlib import Path

Keep = Callable[[dict[str, str]], bool]


def one_in(share: int, column: str, *, or_else: str = "") -> Keep:
    """Keeps about one in `share` values of the column, or of another where it is empty, with all their lines."""
    return lambda line: zlib.crc32((line[column] or line[or_else]).encode()) % share == 0


def among(column: str, *values: str) -> Keep:
    return lambda line: line[column] in values


CUTS: dict[str, dict[str, Keep]] = {
    "online_retail": {"online_retail.csv.gz": one_in(16, "CustomerID", or_else="InvoiceNo")},
    "dominicks_orange_juice": {"yx.csv.gz": among("store", "2", "5", "8", "12", "32", "44", "62", "71")},
    "walmart_weekly_sales": {"train.csv.gz": lambda line: line["Store"] in ("1", "2") and int(line["Dept"]) < 25},
    "complete_journey_sample": {"transactions_sample.csv.gz": one_in(6, "household_id")},
    "cookie_cats_ab": {"cookie_cats.csv.gz": one_in(10, "userid")},
    "starbucks_promotion": {name: one_in(10, "ID") for name in ("training.csv.gz", "Test.csv.gz")},
    "dataco_orders": {"dataco_orders_180519.csv.gz": one_in(10, "Customer Id")},
}
"""Source -> its large files, and the lines of each that are kept; files and sources not named stay whole."""


FOLDERS = {"cdnow_sample": "cdnow"}
"""Sources that share the folder of another."""


def folder_of(source: str) -> str:
    """The folder of real data that the source's mapping reads."""
    return FOLDERS.get(source, source)


def cut_folder(source: str, whole: Path, target: Path) -> Path:
    """A data root that holds the source's folder, large files cut. Lines keep their order."""
    folder = target / folder_of(source)
    folder.mkdir(parents=True)
    kept = CUTS.get(source, {})
    for path in (whole / folder_of(source)).iterdir():
        if path.name in kept:
            (folder / path.name).write_bytes(gzip.compress(_cut(path, kept[path.name]), compresslevel=1))
        elif path.is_file():
            shutil.copy(path, folder)
    return target


def _cut(path: Path, keep: Keep) -> bytes:
    out = io.StringIO(newline="")
    with gzip.open(path, "rt", encoding="utf-8-sig", newline="") as file:
        lines = csv.DictReader(file)
        writer = csv.DictWriter(out, lines.fieldnames or (), lineterminator="\n")
        writer.writeheader()
        writer.writerows(line for line in lines if keep(line))
    return out.getvalue().encode()
