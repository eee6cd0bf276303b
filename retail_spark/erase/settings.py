"""Settings of the job `erase`."""

from __future__ import annotations

from retail_spark.config.secrets import SecretRef
from retail_spark.config.section import Section, setting


class JobSettings(Section):
    """Who leaves. Ids are given by reference, so that no log and no table keeps them; privacy.salt must be set."""

    customers: SecretRef | None = setting(
        None, "customer ids, one a line, as the tables hold them: file:PATH, env:NAME or databricks:SCOPE/KEY"
    )
    visitors: SecretRef | None = setting(None, "visitor ids, one a line, in the same way")
    linked_visitors: bool = setting(True, "visitors that gold.visitor_identities links to the customers leave, too")
