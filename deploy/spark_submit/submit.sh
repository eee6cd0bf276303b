#!/usr/bin/env bash
# Runs a job on a cluster, shipping the package as a wheel:
#   MASTER=spark://host:7077 deploy/spark_submit/submit.sh ingest -c conf/sources/online_retail.yml -c conf/cluster.yml
# WHEEL: the wheel (default: the newest in dist/). SPARK_SUBMIT: the program. SUBMIT_ARGS: more of its arguments.
# Every node needs Python 3.11 or 3.12 with the packages of requirements.lock, named by PYSPARK_PYTHON.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
job="$1"
shift

wheel="${WHEEL:-$(ls -t "$here"/../../dist/retail_spark-*.whl | head -n 1)}"
shipped="$(mktemp -d)"
trap 'rm -rf "$shipped"' EXIT
# Executors put a .zip on their path but not a .whl, which is the same by another name.
cp "$wheel" "$shipped/retail_spark.zip"

# shellcheck disable=SC2086  # SUBMIT_ARGS holds several arguments
"${SPARK_SUBMIT:-spark-submit}" --master "${MASTER:?set MASTER, such as spark://host:7077 or yarn}" \
    --properties-file "$here/spark-defaults.conf" --py-files "$shipped/retail_spark.zip" ${SUBMIT_ARGS:-} \
    "${JOBS:-$here/../../jobs}/$job.py" "$@"
