"""Compact, vacuum and analyse the tables of a lake.

spark-submit jobs/maintain.py [-c FILE]... [--set key=value]... [--as-of DATE] [--force]
"""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", "maintain", *sys.argv[1:]]))
