#!/usr/bin/env bash
# Runs a job on Kubernetes in cluster mode, from the image of deploy/docker:
#   IMAGE=registry/retail-spark:0.1.0 APISERVER=https://host:6443 deploy/kubernetes/submit.sh ingest \
#       -c /opt/retail-spark/conf/sources/online_retail.yml -c /opt/retail-spark/conf/cluster.yml
# NAMESPACE, SERVICE_ACCOUNT, EXECUTORS, SUBMIT_ARGS: see the defaults below. Settings files lie in the image.
set -euo pipefail
here="$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)"
job="$1"
shift

# shellcheck disable=SC2086  # SUBMIT_ARGS holds several arguments
exec "${SPARK_SUBMIT:-spark-submit}" \
    --master "k8s://${APISERVER:?set APISERVER, such as https://host:6443}" \
    --deploy-mode cluster \
    --name "retail-spark-$job" \
    --properties-file "$here/spark-defaults.conf" \
    --conf "spark.kubernetes.container.image=${IMAGE:?set IMAGE to the image of deploy/docker}" \
    --conf "spark.kubernetes.namespace=${NAMESPACE:-default}" \
    --conf "spark.kubernetes.authenticate.driver.serviceAccountName=${SERVICE_ACCOUNT:-spark}" \
    --conf "spark.kubernetes.driver.podTemplateFile=$here/pod.yml" \
    --conf "spark.kubernetes.executor.podTemplateFile=$here/pod.yml" \
    --conf "spark.executor.instances=${EXECUTORS:-2}" \
    ${SUBMIT_ARGS:-} \
    "local:///opt/retail-spark/jobs/$job.py" "$@"
