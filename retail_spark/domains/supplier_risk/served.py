"""Scoring in numpy: the same code inside Spark's workers and inside the served model. Needs xgboost, not Spark."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from retail_spark.domains.supplier_risk.encoder import Encoder
from retail_spark.stats.calibration import Calibration, sigmoid
from retail_spark.tables.values import CONTRIBUTION_BASE as BASE

SCORES = ("p_late", "p_late_raw", "margin", "delay_p50_days", "delay_p90_days")
BOOSTERS = ("late", "delay")


@dataclass(frozen=True)
class Scorer:
    """A learned model: encoder, boosters as xgboost's JSON, and calibration."""

    encoder: Encoder
    boosters: Mapping[str, bytes]
    """Of BOOSTERS: `late` is always there."""
    calibration: Calibration

    def score(self, features: pd.DataFrame, *, explain: bool = True) -> pd.DataFrame:
        """One row per row given, in order: SCORES, and `contributions` (group -> share of the margin) if asked.

        The contributions are exact (TreeSHAP, Lundberg and others 2020), added up by group; with (base) they sum to
        the margin. Delay quantiles that cross are sorted.
        """
        import xgboost

        matrix = xgboost.DMatrix(self.encoder.matrix(features))
        margin = self._loaded["late"].predict(matrix, output_margin=True).astype(np.float64)
        found = {"p_late": self.calibration(margin), "p_late_raw": sigmoid(margin), "margin": margin}
        if "delay" in self.boosters:
            delays = self._loaded["delay"].predict(matrix).astype(np.float64)
            found["delay_p50_days"], found["delay_p90_days"] = np.sort(delays, axis=1).T
        else:
            found["delay_p50_days"] = found["delay_p90_days"] = np.full(len(features), np.nan)
        rows = pd.DataFrame(found, columns=list(SCORES))
        if explain:
            parts = self._loaded["late"].predict(matrix, pred_contribs=True).astype(np.float64)
            rows["contributions"] = pd.Series(self._grouped(parts), index=rows.index, dtype=object)
        return rows

    def answer(self, features: pd.DataFrame) -> pd.DataFrame:
        """What the registered model answers: one row per row given, with SCORES and the contributions as JSON.

        The columns are the features by name; a missing number is NaN, a missing text None.
        """
        rows = self.score(features.reset_index(drop=True))
        return rows.assign(contributions=[json.dumps(parts) for parts in rows["contributions"]])

    def _grouped(self, parts: npt.NDArray[np.float64]) -> list[dict[str, float]]:
        names = list(dict.fromkeys([*(feature.group for feature in self.encoder.features), BASE]))
        place = {name: n for n, name in enumerate(names)}
        columns = [place[feature.group] for feature in self.encoder.features] + [place[BASE]]
        sums = np.zeros((len(parts), len(names)))
        for at, column in enumerate(columns):
            sums[:, column] += parts[:, at]
        return [dict(zip(names, row, strict=True)) for row in sums.tolist()]

    @cached_property
    def _loaded(self) -> dict[str, Any]:
        import xgboost

        found = {}
        for name, stored in self.boosters.items():
            found[name] = xgboost.Booster({"nthread": 1})
            found[name].load_model(bytearray(stored))
        return found

    def __getstate__(self) -> dict[str, Any]:
        """Without the loaded boosters: a worker loads them once, from their JSON."""
        return {name: value for name, value in self.__dict__.items() if name != "_loaded"}

    def save(self, folder: Path) -> dict[str, Path]:
        """Writes the files into the folder; gives name -> file."""
        about = {"encoder": self.encoder.to_json(), "calibration": self.calibration.to_json()}
        files = {"about": folder / "about.json"}
        files["about"].write_text(json.dumps(about, ensure_ascii=False), encoding="utf-8")
        for name, stored in self.boosters.items():
            files[name] = folder / f"{name}.json"
            files[name].write_bytes(stored)
        return files

    @classmethod
    def load(cls, files: Mapping[str, str | Path]) -> Scorer:
        """Reads what `save` wrote."""
        about: dict[str, Any] = json.loads(Path(files["about"]).read_text(encoding="utf-8"))
        boosters = {name: Path(files[name]).read_bytes() for name in BOOSTERS if name in files}
        calibration = Calibration.from_json(about["calibration"])
        return cls(Encoder.from_json(about["encoder"]), boosters, calibration)
