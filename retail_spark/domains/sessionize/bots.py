"""Bots are recognised by their user agent or by behaviour that no person shows. They are flagged, never dropped."""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from importlib.resources import files

from pyspark.sql import Column, DataFrame
from pyspark.sql import functions as F

# Entries of the list that also name telephones, televisions, apps and browsers: only where a bot names itself.
_ALSO_DEVICES = {"Sonic", "Butterfly", "Fever", "speedy", "Fluid", "ds9", "Expanse", "008\\/", "Sogou", "Viber"}
_MISTAKEN = {"AP3A\\.240617\\.008"}
"""Entries that name a build of Android."""
# Bots without an entry of their own mostly say what they are. Cubot is a telephone, Spider 8 a tablet, CamScanner an
# app with a browser inside.
_SAYS_SO = (
    r"[a-z0-9._-](?<!cu)bot([^a-z]|$)|(?<!cu)bot[/;]|^bot|crawl|spider(?! ?\d)|slurp|scrap(er|y|ing)"
    r"|(?<!cam)scan(s|ner|ning)?([^a-z]|$)|monitor(ing)?|archiv|(?<!mozac)fetch|validator|checker|preview|headless"
    r"|phantomjs|selenium|webdriver|curl|wget|https?client|\+https?:|@[a-z0-9-]+\.[a-z]{2}|cloudflare|google-[a-z]"
    r"|page ?speed|transcoder|survey|research|experiment|measurement|image ?proxy|google (favicon|search console)"
)
# Those that look like a browser for a reason: watching a site, testing it, attacking it, keeping it.
_TOOLS = (
    r"catchpoint|[; ]rigor[);]|dejaclick|synthetic|dmbrowser|dynatrace|gomezagent|site24x7|gtmetrix|dareboost|datanyze"
    r"|pingdom|ptst/|webpagetest|lighthouse|uptime|health.?check|statuscake|new ?relic|nagios|check_http|munin|zabbix"
    r"|kube-probe|link.?check|siteimprove|playwright|puppeteer|cypress/|testcafe|browsershot|screenshot|thumb(nail|shot)"
    r"|burpcollaborator|sqlmap|nikto|nmap|nuclei|zgrab|jorgee|acunetix|netsparker|nessus|openvas|load_file\("
    r"|archivebox|sparkler/|outbrain|hydra\b|wordpress/\d|optimizer\)"
    r"|mutant;|[( ;]iplabel|\(via .*proxy|\(compatible(\)$|; https?:)|morningscore|duplexweb|googleweblight"
)
# Readers of feeds: they come by the clock, whoever reads.
_READERS = (
    r"\d+ (subscribers|readers)|subscribers=|feed.?(id|parser|finder)|feed(ly|bin|burner|demon|spot|validat|er\.)"
    r"|(^|[^a-z])rss|rss([^a-z]|$)|rss(owl|bandit|radio|reader)|netnewswire|newsblur|newsgator|bazqux|inoreader"
    r"|^(reeder|readkit|liferea|akregator|newsbeuter|newsboat|miniflux|downcast|castro|podcasts?|icatcher|overcast)"
)
# No browser calls itself so.
_MALFORMED = (
    r"^mozilla/\d\.\d ((?!\(|linux|applewebkit|windows|macint|x11|[a-z]+=)"
    r"|\(compatible; (?!msie|gecko|konqueror|i?cab|i?browse|abrowse|u;|amiga|netpositive|ms-?office|offbyone|opera"
    r"|webtv|googletoolbar|[a-z]+ ?os)[a-z0-9])"
    r"|^mozilla/[6-9](?!.*amiga)|^mozilla/\d\.\d$|khtml, like gecko; (?!\w+/\d)|\(https?:"
)
# Words of which a browser, an app, a telephone or a television has one.
_BROWSERS = (
    r"mozilla/|opera[/ ]|profile/midp|configuration/cldc|up\.browser|up\.link|blackberry|nokia|samsung|sonyericsson"
    r"|lg[-/e]|mot-|ucweb|dalvik|obigo|netfront|brew|j2me|symbian|webos|mobile|browser|android|maui|sec-|sie-|huawei"
    r"|zte|alcatel|lenovo|dorado|spreadtrum|docomo|kddi|softbank|vodafone|lynx|w3m|elinks|links|dillo|konqueror"
    r"|netscape|webkit|safari|mosaic|gecko|iphone|ipad|smarttv|windows nt|win64|macintosh|amiga|chrome"
    r"|cfnetwork|(^|[^a-z])ios[^a-z]|applecoremedia|quicktime|microsoft o(ffice|utlook)|playstation|roku|nintendo|xbox"
    r"|ibrowse|mozacfetch|tizen|darwin/"
)


@dataclass(frozen=True)
class Behaviour:
    """Limits on one session: what lies beyond them is the behaviour of a bot."""

    events: int
    """A session with fewer events is not judged by its rate or its pauses."""
    events_per_minute: float
    dwell_micros: int
    """A session whose longest pause is at most this is a bot's, in microseconds."""
    breadth: int
    """A session with at least so many different pages and products is a bot's."""


@cache
def agent_pattern() -> str:
    """The (Java) pattern that finds the user agents of bots: the list of crawler-user-agents, and general rules.

    The list's entries mean what they say in its own letters: without regard to case, NING/ would be Lightning/.
    """
    listed = json.loads((files("crawleruseragents") / "crawler-user-agents.json").read_text(encoding="utf-8"))
    entries = [entry["pattern"] for entry in listed if entry["pattern"] not in _MISTAKEN]
    placed = [rf"(^|compatible; ){entry}" if entry in _ALSO_DEVICES else entry for entry in entries]
    general = "|".join([_SAYS_SO, _TOOLS, _READERS, _MALFORMED, rf"^(?!.*({_BROWSERS}))"])
    return "|".join([*placed, f"(?i:{general})"])


def is_bot_agent(user_agent: Column) -> Column:
    """True for the user agent of a bot; False for NULL and the empty text, which say nothing."""
    return F.coalesce((F.trim(user_agent) != "") & user_agent.rlike(agent_pattern()), F.lit(False))


def with_bot(sessions: DataFrame, *, cut: DataFrame, behaviour: Behaviour) -> DataFrame:
    """One row per session: adds is_bot and bot_reason, and drops user_agent and longest_pause.

    `cut` are the events with their session_id. Every different user agent is matched once: as a column of the distinct
    ones, because a filter on them would be pushed below the distinct and match every row.
    """
    agents = sessions.select("user_agent").where(F.col("user_agent").isNotNull()).distinct()
    bots = agents.withColumn("_is_bot_agent", is_bot_agent(F.col("user_agent")))
    many = sessions.where(F.col("events") >= behaviour.breadth).select("session_id")
    seen = cut.join(many, on="session_id", how="left_semi").groupBy("session_id")
    breadth = seen.agg(F.count_distinct(F.coalesce("product_id", "page_url")).alias("_breadth"))
    # user_agent is the key of bots, session_id of breadth: many to one.
    judged = sessions.join(bots, on="user_agent", how="left").join(breadth, on="session_id", how="left")
    enough = F.col("events") >= behaviour.events
    rate = (F.col("events") - 1) * 60.0 >= behaviour.events_per_minute * F.col("duration_seconds")
    reason = (
        F.when(F.col("_is_bot_agent"), F.lit("user_agent"))
        .when(enough & rate, F.lit("rate"))
        .when(enough & (F.col("longest_pause") <= behaviour.dwell_micros), F.lit("no_dwell"))
        .when(F.col("_breadth") >= behaviour.breadth, F.lit("breadth"))
    )
    flagged = judged.withColumn("bot_reason", reason).withColumn("is_bot", F.col("bot_reason").isNotNull())
    return flagged.drop("_is_bot_agent", "_breadth", "user_agent", "longest_pause")
