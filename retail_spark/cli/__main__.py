"""`python -m retail_spark.cli`."""

import sys

from retail_spark.cli.main import main

if __name__ == "__main__":
    sys.exit(main())
