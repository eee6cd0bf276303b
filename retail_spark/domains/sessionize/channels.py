"""Where a session came from: GA4's default channel groups, and the visitor's last channel other than Direct.

The rules and their order are those Google publishes for manual traffic, the sites are those of its list
(source_categories.py), by name as utm_source gives them and by host as a referrer does.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

from retail_spark.domains.sessionize.source_categories import SEARCH, SHOPPING, SOCIAL, VIDEO, category_of, sources

DIRECT = "Direct"
# Hosts of a search engine's company that are no search. Google's list holds some (mail.google.com): they count as
# search where a campaign names them as its source, but a visit from somebody's mail is none.
_NO_SEARCH = r"^(e?mail|docs|drive|accounts|calendar|groups|translate|maps|support|play|meet|chat|classroom)\."
# The host of an address, whatever follows it: a browser sends `|`, `{}`, blanks and lone `%` as they are.
_HOST = r"^\s*(?:[A-Za-z][A-Za-z0-9+.-]*:)?//(?:[^/?#\\@\s]*@)?(\[[^\]/]*\]|[^/?#\\:@\s]+)"
_PAID = "^(.*cp.*|ppc|retargeting|paid.*)$"
_SHOP_CAMPAIGN = "^(.*(([^a-df-z]|^)shop|shopping).*)$"
_EMAIL = ("email", "e-mail", "e_mail", "e mail")
_SOCIAL_MEDIUM = ("social", "social-network", "social-media", "sm", "social network", "social media")


def host_of(column: str) -> Column:
    """Host of an address, lower case and without www; NULL where it has none. What follows the host may be anything."""
    host = F.regexp_replace(F.lower(F.regexp_extract(F.col(column), _HOST, 1)), r"^www\.|\.$", "")
    return F.when(host != "", host)


def with_channel(sessions: DataFrame) -> DataFrame:
    """One row per session: adds channel, from utm_source, utm_medium and utm_campaign, else from the referrer."""
    has_utm = F.coalesce("utm_source", "utm_medium", "utm_campaign").isNotNull()
    host = host_of("referrer")
    source = F.when(has_utm, F.lower(F.coalesce("utm_source", F.lit("(not set)")))).otherwise(host)
    medium = F.when(has_utm, F.lower(F.coalesce("utm_medium", F.lit("(not set)"))))
    medium = medium.when(host.isNotNull(), F.lit("referral"))
    sourced = sessions.withColumns(
        {
            "_has_utm": has_utm,
            "_source": F.coalesce(source, F.lit("(direct)")),
            "_medium": F.coalesce(medium, F.lit("(none)")),
            "_campaign": F.lower(F.coalesce("utm_campaign", F.lit(""))),
        }
    )
    told = sourced.withColumn("_kind", category_of(F.col("_source")))
    is_named = F.col("_has_utm") & F.col("_source").isin(*sorted(sources().names[SEARCH]))
    is_page = (F.col("_kind") == SEARCH) & F.col("_source").rlike(_NO_SEARCH) & ~is_named
    kinds = told.withColumn("_kind", F.when(~F.coalesce(is_page, F.lit(False)), F.col("_kind")))
    return kinds.withColumn("channel", channel()).drop("_source", "_medium", "_campaign", "_kind", "_has_utm")


def channel() -> Column:
    """GA4's default channel group of _source, _medium, _campaign (lower case) and _kind: the first rule that fits."""
    source, medium, campaign = F.col("_source"), F.col("_medium"), F.col("_campaign")
    is_paid = medium.rlike(_PAID)
    is_search, is_site, is_social, is_video = (_is(kind) for kind in (SEARCH, SHOPPING, SOCIAL, VIDEO))
    is_shop = is_site | campaign.rlike(_SHOP_CAMPAIGN)
    is_push = medium.endswith("push") | medium.contains("mobile") | medium.contains("notification")
    rules = (
        (DIRECT, source.isin("(direct)", "direct") & medium.isin("(not set)", "(none)")),
        ("Cross-network", campaign.contains("cross-network")),
        ("Paid Shopping", is_shop & is_paid),
        ("Paid Search", is_search & is_paid),
        ("Paid Social", is_social & is_paid),
        ("Paid Video", is_video & is_paid),
        ("Display", medium.isin("display", "banner", "expandable", "interstitial", "cpm")),
        ("Paid Other", is_paid),
        ("Organic Shopping", is_shop),
        ("Organic Social", is_social | medium.isin(*_SOCIAL_MEDIUM)),
        ("Organic Video", is_video | medium.rlike("^(.*video.*)$")),
        ("Organic Search", is_search | (medium == "organic")),
        ("Referral", medium.isin("referral", "app", "link")),
        ("Email", source.isin(*_EMAIL) | medium.isin(*_EMAIL)),
        ("Affiliates", medium == "affiliate"),
        ("Audio", medium == "audio"),
        ("SMS", (source == "sms") | (medium == "sms")),
        ("Mobile Push Notifications", is_push | (source == "firebase")),
    )
    chosen = F.when(rules[0][1], F.lit(rules[0][0]))
    for name, fits in rules[1:]:
        chosen = chosen.when(fits, F.lit(name))
    return chosen.otherwise(F.lit("Unassigned"))


def with_history(sessions: DataFrame, *, look_back_days: int) -> DataFrame:
    """One row per session: adds session_number and last_non_direct_channel. Needs all sessions of a visitor."""
    started = sessions.withColumn("_started", F.unix_micros("started_at"))
    by_visitor = W.partitionBy("visitor_id").orderBy("_started", "session_id")
    so_far = by_visitor.rowsBetween(W.unboundedPreceding, W.currentRow)
    other = F.when(F.col("channel") != DIRECT, F.struct("_started", "channel"))
    # if the latest other channel is too old, every other one is: no sliding window, which a busy visitor would stall
    latest = F.last(other, ignorenulls=True).over(so_far)
    is_fresh = F.col("_started") - latest["_started"] <= F.lit(look_back_days * 86_400_000_000)
    return started.withColumns(
        {
            "session_number": F.row_number().over(by_visitor).cast("bigint"),
            "last_non_direct_channel": F.when(is_fresh, latest["channel"]),
        }
    ).drop("_started")


def _is(kind: str) -> Column:
    """True for a source of that kind of site."""
    return F.coalesce(F.col("_kind") == kind, F.lit(False))
