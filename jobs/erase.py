"""A visitor or customer leaves every table.

spark-submit jobs/erase.py --set privacy.salt=env:SALT --set erase.customers=file:ids.txt [same arguments as every job]
"""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["run", "erase", *sys.argv[1:]]))
