"""What a change causes: experiments with intervals that allow daily looks, and a decision.

spark-submit jobs/experiments.py [-c FILE]... [--set key=value]... [--as-of DATE] [--force]
"""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", "experiments", *sys.argv[1:]]))
