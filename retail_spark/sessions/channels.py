"""Where a session came from: GA4's default channel groups, and the visitor's last channel other than Direct.

The rules and their order are those Google publishes for manual traffic. Google's own lists of sites are long; here
stand the sites that matter, by name as utm_source gives them and by host as a referrer does.
"""

from __future__ import annotations

from pyspark.sql import Column, DataFrame
from pyspark.sql import Window as W
from pyspark.sql import functions as F

DIRECT = "Direct"
SEARCH = (
    "google", "bing", "yahoo", "duckduckgo", "baidu", "yandex", "ecosia", "qwant", "startpage", "ask", "aol", "naver",
    "daum", "seznam", "sogou", "so.com", "onet", "virgilio", "brave", "lycos", "dogpile", "presearch", "ekoru", "avg",
)  # fmt: skip
SOCIAL = (
    "facebook", "fb", "instagram", "ig", "twitter", "t.co", "x.com", "linkedin", "lnkd.in", "pinterest", "reddit",
    "tiktok", "snapchat", "tumblr", "vk", "vkontakte", "weibo", "wechat", "whatsapp", "telegram", "t.me", "threads",
    "mastodon", "quora", "xing", "bsky", "meetup", "flickr", "disqus", "livejournal", "stumbleupon", "digg",
    "news.ycombinator.com", "delicious", "messenger",
)  # fmt: skip
VIDEO = (
    "youtube", "youtu.be", "vimeo", "dailymotion", "twitch", "netflix", "hulu", "disneyplus", "wistia", "iqiyi",
    "youku",
)  # fmt: skip
SHOPPING = (
    "amazon", "ebay", "etsy", "walmart", "aliexpress", "alibaba", "shopzilla", "idealo", "rakuten",
    "mercadolibre", "shopify", "shop.app", "igshopping", "stripe", "wish", "target",
)  # fmt: skip
# Pages of a search engine's company that are no search.
_NO_SEARCH = r"^(mail|docs|drive|accounts|calendar|groups|translate|maps)\."
_PAID = "^(.*cp.*|ppc|retargeting|paid.*)$"
_SHOP_CAMPAIGN = "^(.*(([^a-df-z]|^)shop|shopping).*)$"
_EMAIL = ("email", "e-mail", "e_mail", "e mail")
_SOCIAL_MEDIUM = ("social", "social-network", "social-media", "sm", "social network", "social media")


def host_of(column: str) -> Column:
    """Host of an address, lower case and without www; NULL where it has none."""
    return F.regexp_replace(F.lower(F.try_parse_url(F.col(column), F.lit("HOST"))), r"^www\.", "")


def with_channel(sessions: DataFrame) -> DataFrame:
    """One row per session: adds channel, from utm_source, utm_medium and utm_campaign, else from the referrer."""
    has_utm = F.coalesce("utm_source", "utm_medium", "utm_campaign").isNotNull()
    host = host_of("referrer")
    is_search = _is_one_of(host, SEARCH) & ~host.rlike(_NO_SEARCH)
    by_referrer = F.when(is_search, F.lit("organic")).otherwise(F.lit("referral"))
    source = F.when(has_utm, F.lower(F.coalesce("utm_source", F.lit("(not set)")))).otherwise(host)
    medium = F.when(has_utm, F.lower(F.coalesce("utm_medium", F.lit("(not set)")))).when(host.isNotNull(), by_referrer)
    sourced = sessions.withColumns(
        {
            "_source": F.coalesce(source, F.lit("(direct)")),
            "_medium": F.coalesce(medium, F.lit("(none)")),
            "_campaign": F.lower(F.coalesce("utm_campaign", F.lit(""))),
        }
    )
    return sourced.withColumn("channel", channel()).drop("_source", "_medium", "_campaign")


def channel() -> Column:
    """GA4's default channel group of _source, _medium and _campaign (lower case); the first rule that fits wins."""
    source, medium, campaign = F.col("_source"), F.col("_medium"), F.col("_campaign")
    is_paid = medium.rlike(_PAID)
    is_shop = _is_one_of(source, SHOPPING) | campaign.rlike(_SHOP_CAMPAIGN)
    is_search = _is_one_of(source, SEARCH) & ~source.rlike(_NO_SEARCH)
    is_push = medium.endswith("push") | medium.contains("mobile") | medium.contains("notification")
    rules = (
        (DIRECT, source.isin("(direct)", "direct") & medium.isin("(not set)", "(none)")),
        ("Cross-network", campaign.contains("cross-network")),
        ("Paid Shopping", is_shop & is_paid),
        ("Paid Search", is_search & is_paid),
        ("Paid Social", _is_one_of(source, SOCIAL) & is_paid),
        ("Paid Video", _is_one_of(source, VIDEO) & is_paid),
        ("Display", medium.isin("display", "banner", "expandable", "interstitial", "cpm")),
        ("Paid Other", is_paid),
        ("Organic Shopping", is_shop),
        ("Organic Social", _is_one_of(source, SOCIAL) | medium.isin(*_SOCIAL_MEDIUM)),
        ("Organic Video", _is_one_of(source, VIDEO) | medium.rlike("^(.*video.*)$")),
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


def _is_one_of(value: Column, sites: tuple[str, ...]) -> Column:
    """True for the name itself, or a host with it: `google`, `www.google.co.uk`; a site with a dot is a host's end."""
    names = "|".join(site for site in sites if "." not in site)
    hosts = "|".join(site.replace(".", r"\.") for site in sites if "." in site)
    return F.coalesce(value.rlike(rf"^(.*\.)?({names})(\..*)?$|^(.*\.)?({hosts})$"), F.lit(False))
