"""A made-up retailer with known truth, as silver and truth tables.

spark-submit jobs/synthetic.py [-c FILE]... [--set key=value]... [--as-of DATE] [--force]
"""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", "synthetic", *sys.argv[1:]]))
