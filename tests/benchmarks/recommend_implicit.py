"""Training time and ranking quality of Spark's ALS beside the package `implicit`, on the same matrix, in one run.

Online Retail's decayed orders before 2011-11-09, the same rank, iterations, ridge and alpha; quality is nDCG@10 of
what a customer had not bought before. The package is not part of this project's environment: name a Python that has it.

    python -m tests.benchmarks.recommend_implicit --python OTHER_VENV/bin/python
"""

from __future__ import annotations

import argparse
import json
import subprocess
import tempfile
import time
from datetime import date
from pathlib import Path

import numpy as np
import pandas as pd
from pyspark.sql import functions as F

from retail_spark.config.section import LakeSettings, Settings
from retail_spark.domains.recommend.evaluate import to_customer_metrics, to_truth
from retail_spark.domains.recommend.models.blend import Blend
from retail_spark.domains.recommend.purchases import to_lines
from retail_spark.domains.recommend.scoring.lists import Wanted
from retail_spark.domains.recommend.settings import JobSettings
from retail_spark.domains.recommend.train import Data, count, with_factors
from retail_spark.lake.lake import Lake
from retail_spark.spark.session import get_session
from tests.benchmarks.recommend_online_retail import TRAIN_UNTIL, bare_run, numbered, sales

ALS_ALONE = Wanted("discover", Blend(als_scale=1.0, popularity_scale=1e-9), only_new=True)
CHILD = """
import json, sys, time
import numpy as np, scipy.sparse as sp
from implicit.als import AlternatingLeastSquares
folder, rank, iterations, ridge, alpha = sys.argv[1:]
matrix = sp.load_npz(folder + "/matrix.npz").tocsr()
same = dict(factors=int(rank), regularization=float(ridge), alpha=float(alpha), iterations=int(iterations))
model = AlternatingLeastSquares(**same, num_threads=2, random_state=42)
model.fit(matrix[:50], show_progress=False)
model = AlternatingLeastSquares(**same, num_threads=2, random_state=42)
began = time.monotonic()
model.fit(matrix, show_progress=False)
seconds = time.monotonic() - began
ids, _ = model.recommend(np.arange(matrix.shape[0]), matrix, N=10, filter_already_liked_items=True)
np.save(folder + "/lists.npy", ids)
print(json.dumps({"seconds": seconds}))
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", required=True, help="a Python that has implicit and scipy")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        lake = LakeSettings(root=f"{folder}/lake")
        spark = get_session(Settings(lake=lake))
        run = bare_run(spark, Lake.open(spark, lake), as_of=date(2011, 12, 9))
        lines = run.stage("lines", sales(spark).transform(to_lines))
        settings = JobSettings()
        data = Data(run, settings, lines, numbered(lines, "customer"), numbered(lines, "product"))
        counted = count(data, until=TRAIN_UNTIL, recipe=settings.recipe(), name="train")
        truth = run.stage(
            "truth", to_truth(lines.where((F.col("bought") > 0) & (F.col("day") > TRAIN_UNTIL)), counted.history)
        )
        with_factors(counted, data=data)  # warm
        began = time.monotonic()
        learned = with_factors(counted, data=data)
        learned.factors.products.count()  # type: ignore[union-attr]
        ours = time.monotonic() - began
        lists = {"spark": run.stage("ours", learned.lists([ALS_ALONE], k=10, settings=settings))}
        theirs, names = rival(counted.history.toPandas(), Path(folder), settings=settings, python=given.python)
        lists["implicit"] = spark.createDataFrame(names)
        print(
            f"training, rank {settings.rank}, {settings.iterations} iterations: "
            f"Spark {ours:.1f} s, implicit {theirs:.1f} s, ",
            end="",
        )
        print(f"ratio {ours / theirs:.1f}")
        for name, frame in lists.items():
            scored = to_customer_metrics(frame, truth, relevance="new", k=10)
            row = scored.agg(F.avg("ndcg"), F.count("*")).collect()[0]
            print(f"nDCG@10 of new products, {name}: {row[0]:.4f} ({row[1]:,} customers)")


def rival(history: pd.DataFrame, folder: Path, *, settings: JobSettings, python: str) -> tuple[float, pd.DataFrame]:
    """Seconds of implicit's training, and its lists."""
    from scipy import sparse

    customers, products = sorted(set(history["customer_id"])), sorted(set(history["product_id"]))
    row = history["customer_id"].map({name: at for at, name in enumerate(customers)})
    column = history["product_id"].map({name: at for at, name in enumerate(products)})
    sparse.save_npz(folder / "matrix.npz", sparse.csr_matrix((history["rating"].astype("float32"), (row, column))))
    sizes = history.groupby("customer_id").size().mean()
    # Spark's ridge counts once for each rating of a customer, implicit's once
    ridge = str(settings.reg_param * sizes)
    command = [
        python,
        "-c",
        CHILD,
        str(folder),
        str(settings.rank),
        str(settings.iterations),
        ridge,
        str(settings.alpha),
    ]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    ids = np.load(folder / "lists.npy")
    rows = [
        ("discover", customers[at], rank + 1, products[p]) for at, own in enumerate(ids) for rank, p in enumerate(own)
    ]
    return json.loads(done.stdout)["seconds"], pd.DataFrame(rows, columns=["list", "customer_id", "rank", "product_id"])


if __name__ == "__main__":
    main()
