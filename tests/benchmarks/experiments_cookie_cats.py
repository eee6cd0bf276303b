"""Cookie Cats by the command with its shipped mapping: what gold.experiment_results holds then.

python -m tests.benchmarks.experiments_cookie_cats [--source starbucks_promotion] [--lake FOLDER]
"""

from __future__ import annotations

import argparse
import os
import tempfile
from pathlib import Path

from tests.real.shops import REPO, Shop

COLUMNS = "experiment_id, metric, control_value, variant_value, effect, effect_low, effect_high, p_value"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", default="cookie_cats_ab")
    parser.add_argument("--lake", default=None, help="where the lake is left; empty: thrown away")
    given = parser.parse_args()
    data_root = Path(os.environ.get("RETAIL_SPARK__DATA_ROOT", REPO / ".." / "shared" / "data"))
    with tempfile.TemporaryDirectory() as folder:
        shop = Shop(given.source, data_root, Path(given.lake or folder))
        print(shop.pipeline())
        query = f"SELECT {COLUMNS}, sample_ratio_p_value, decision, reason FROM t ORDER BY experiment_id, metric"
        for row in shop.rows(query, t="gold.experiment_results"):
            print(*(f"{name} {value:.6g}" if isinstance(value, float) else value for name, value in row.items()))


if __name__ == "__main__":
    main()
