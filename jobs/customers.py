"""What customers will be worth, who has left, and when they buy next.

spark-submit jobs/customers.py [-c FILE]... [--set key=value]... [--as-of DATE] [--force]
"""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", "customers", *sys.argv[1:]]))
