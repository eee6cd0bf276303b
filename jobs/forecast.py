"""What every store will sell of every product, by what proved itself on held-out time.

spark-submit jobs/forecast.py [-c FILE]... [--set key=value]... [--as-of DATE] [--force]
"""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", "forecast", *sys.argv[1:]]))
