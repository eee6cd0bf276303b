"""Product lists for every customer.

spark-submit jobs/recommend.py [-c FILE]... [--set key=value]... [--as-of DATE] [--force]
"""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", "recommend", *sys.argv[1:]]))
