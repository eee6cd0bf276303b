"""Events to sessions, funnels and identities.

spark-submit jobs/sessionize.py [-c FILE]... [--set key=value]... [--as-of DATE] [--force]
"""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", "sessionize", *sys.argv[1:]]))
