"""What prices do to units, how sure that is, and the prices that follow.

spark-submit jobs/elasticity.py [-c FILE]... [--set key=value]... [--as-of DATE] [--force]
"""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", "elasticity", *sys.argv[1:]]))
