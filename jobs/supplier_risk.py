"""Who will be late, how sure that is, and why.

spark-submit jobs/supplier_risk.py [-c FILE]... [--set key=value]... [--as-of DATE] [--force]
"""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", "supplier_risk", *sys.argv[1:]]))
