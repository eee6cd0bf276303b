"""Key figures of the business by day and week, by store, channel and category, each defined once.

spark-submit jobs/kpis.py [-c FILE]... [--set key=value]... [--as-of DATE] [--force]
"""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", "kpis", *sys.argv[1:]]))
