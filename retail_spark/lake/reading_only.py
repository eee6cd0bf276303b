"""`sql` only reads. What a statement does is judged by its plan: words and comments can hide what it is."""

from __future__ import annotations

import re
from typing import Any

from pyspark.sql import SparkSession

from retail_spark.errors import UsageError
from retail_spark.spark.session import is_classic

_TELLS = re.compile(r"(?:Show|Describe|Explain)\w*")
_READS = re.compile(
    r"(?:Show|Describe|Explain)\w*|Project|Filter|Aggregate|Sort|GlobalLimit|LocalLimit|Offset|Join|Union|Distinct"
    r"|Intersect|Except|SubqueryAlias|UnresolvedWith|UnresolvedHaving|UnresolvedRelation|UnresolvedInlineTable"
    r"|WithWindowDefinition|CTE\w*|Pivot|Unpivot|Generate|OneRowRelation|LocalRelation|RelationTimeTravel"
)
_CHANGES = re.compile(r"(?:Insert|Restore|Clone|Reorg|Convert|Optimize|Vacuum|Alter|Write|Overwrite)\w*|\w+Statement")
"""Nodes that are no commands by their class: those of Delta's own parser, and INSERT OVERWRITE DIRECTORY."""
_CALLS_CODE = re.compile(r"(?i)'(?:try_)?(?:reflect|java_method)\(")
_CATALYST = "org.apache.spark.sql.catalyst.plans.logical."


def check_reads_only(spark: SparkSession, query: str) -> None:
    """Raises UsageError for a statement that writes, changes or sets something, before any of it is carried out.

    The plan is parsed and not analysed: no table is looked up. Raises ParseException for what is no SQL.
    """
    does = _does_in_jvm(spark, query) if is_classic(spark) else _does_by_explain(spark, query)
    if does is not None:
        raise UsageError(
            f"`sql` only reads, and this statement is {does}.",
            fix="ask with SELECT, SHOW, DESCRIBE or EXPLAIN; change tables by a job, or in a session of your own",
        )


def _does_in_jvm(spark: SparkSession, query: str) -> str | None:
    """The first node of the parsed plan that is a command; what tells about tables is none."""
    session: Any = spark
    plan = session._jsparkSession.sessionState().sqlParser().parsePlan(query)
    if _CALLS_CODE.search(plan.toString()):
        return "a call of Java code"
    loader = plan.getClass().getClassLoader()
    kinds = [loader.loadClass(f"{_CATALYST}{name}") for name in ("Command", "ParsedStatement")]
    nodes = [plan]
    while nodes:
        node = nodes.pop()
        name = str(node.nodeName())
        if (_CHANGES.fullmatch(name) or any(kind.isInstance(node) for kind in kinds)) and not _TELLS.match(name):
            return name
        children = node.children()
        nodes += [children.apply(n) for n in range(children.size())]
    return None


def _does_by_explain(spark: SparkSession, query: str) -> str | None:
    """The root of the parsed plan as EXPLAIN tells it, where no JVM is at hand; an unknown one is refused."""
    told = spark.sql(f"EXPLAIN EXTENDED {query}").collect()[0][0]
    root = re.search(r"== Parsed Logical Plan ==\s*'?(\w+)", told)
    name = root.group(1) if root else "unknown"
    return None if _READS.fullmatch(name) and not _CALLS_CODE.search(told) else name
