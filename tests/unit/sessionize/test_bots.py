from __future__ import annotations

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.sessionize.bots import Behaviour, is_bot_agent, with_bot
from retail_spark.frames.local_rows import frame_of_rows

_APPLE = "AppleWebKit/605.1.15 (KHTML, like Gecko) Version/17.1"
_WEBKIT = "AppleWebKit/537.36 (KHTML, like Gecko)"
BOTS = (
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    f"Mozilla/5.0 {_WEBKIT[:-1]}; compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm) Chrome/116",
    "GOOGLEBOT/2.1 (+HTTP://WWW.GOOGLE.COM/BOT.HTML)",
    "Mozilla/5.0 (compatible; AhrefsBot/7.0; +http://ahrefs.com/robot/)",
    "Mozilla/5.0 (compatible; SomethingNobodyListed/0.1)",
    "Mozilla/5.0 (compatible; NewThing/1.0; https://new.example/about)",
    f"Mozilla/5.0 (X11; Linux x86_64) {_WEBKIT} HeadlessChrome/120.0.0.0 Safari/537.36",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "python-requests/2.31.0",
    "curl/8.4.0",
    "Go-http-client/2.0",
    "Java/17.0.9",
    "Wget/1.21.3",
    "okhttp/4.12.0",
    "price-watch (ops@watch.example)",
    "Mozilla/5.0",
    # those that watch, test or attack a site, and readers of feeds, in a browser's clothes
    f"Mozilla/5.0 (X11; Linux x86_64; Catchpoint) {_WEBKIT} Chrome/75.0.3770.90 Safari/537.36",
    f"Mozilla/5.0 (X11; Linux x86_64; Rigor) {_WEBKIT} Chrome/80.0.3987.106 Safari/537.36",
    f"Mozilla/5.0 (X11; Linux x86_64; GTmetrix https://gtmetrix.com/) {_WEBKIT} Chrome/75.0.3770.100 Safari/537.36",
    f"Mozilla/5.0 (Windows NT 10.0; WOW64) {_WEBKIT} Chrome/66.0 Safari/537.36 DMBrowser/2.1 (BV)",
    f"Mozilla/5.0 (Windows NT 6.1) {_WEBKIT} Chrome/75.0.3770.142 Safari/537.36'+(select load_file('x'))+'",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_WEBKIT} Chrome/90.0.4430.61 Safari/537.36 ArchiveBox/0.6",
    f"Mozilla/5.0 (Windows NT 6.1) {_WEBKIT} QuiteRSS/0.18.12 Safari/602.1",
    "Mozilla/5.0 (compatible; BazQux/2.4; 2 subscribers)",
    "Reeder/3.2 CFNetwork/672.1.12 Darwin/14.0.0",
    "Mozilla/5.0 (Windows NT 5.1; rv:11.0) Gecko Firefox/11.0 (via ggpht.com GoogleImageProxy)",
    "kube-probe/1.27",
    "check_http/v2.2 (monitoring-plugins 2.2)",
)
PEOPLE = (
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/120.0.0.0 Safari/537.36",
    f"Mozilla/5.0 (Windows NT 10.0; Win64; x64) {_WEBKIT} Chrome/120.0.0.0 Safari/537.36 Edg/120.0.2210.91",
    "Mozilla/5.0 (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
    "Mozilla/4.0 (compatible; MSIE 8.0; Windows NT 6.1; Trident/4.0)",
    "Mozilla/5.0 (X11; Linux x86_64; rv:120.0) Gecko/20100101 Firefox/120.0",
    f"Mozilla/5.0 (iPhone; CPU iPhone OS 17_1 like Mac OS X) {_APPLE} Mobile/15E148 Safari/604.1",
    f"Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) {_APPLE} Safari/605.1.15",
    f"Mozilla/5.0 (Linux; Android 13; Cubot Note 30) {_WEBKIT} Chrome/121.0.0.0 Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 15; CPH2725 Build/AP3A.240617.008) {_WEBKIT} Chrome/138.0.0.0 Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 8.1.0; Panasonic P110) {_WEBKIT} Chrome/84.0.4147.89 Mobile Safari/537.36",
    f"Mozilla/5.0 (Linux; Android 9; HTC Butterfly) {_WEBKIT} Chrome/84.0.4147.89 Mobile Safari/537.36",
    # apps of iOS, browsers inside apps, an entry of the list in other letters, braces
    "ShopApp/1 CFNetwork/1408.0.4 Darwin/22.5.0",
    "ShopApp/6.8.1 (iOS 17.3; en_US; iPhone12,1)",
    f"Mozilla/5.0 (Linux; Android 9; SM-G950U) {_WEBKIT} Chrome/80.0 Mobile Safari/537.36 CamScanner/6.2",
    f"Mozilla/5.0 (Linux; Android 9; SM-G950U) {_WEBKIT} Chrome/80.0 Mobile Safari/537.36 Viber/13.0",
    "Mozilla/5.0 (Windows NT 10.0; rv:52.0) Gecko/20100101 Thunderbird/52.1.1 Lightning/5.4.1",
    "Mozilla/5.0 CK={} (Windows NT 6.1; WOW64; Trident/7.0; rv:11.0) like Gecko",
    "Mozilla/5.0 (compatible; U; ABrowse 0.6; Syllable) AppleWebKit/420+ (KHTML, like Gecko)",
    "Mozilla/6.0 (compatible; Amiga-AWeb)",
    "Mozilla/3.0 (compatible; NetPositive/2.2.1; BeOS)",
    "Opera/9.80 (Windows NT 6.0) Presto/2.12.388 Version/12.14",
    "",
)  # fmt: skip
PLAIN = Behaviour(events=30, events_per_minute=20.0, dwell_micros=1_000_000, breadth=100)


def test_bots_are_known_by_their_agent_and_people_are_not(spark: SparkSession) -> None:
    agents = frame_of_rows(spark, [(a,) for a in (*BOTS, *PEOPLE, None)], "agent string")
    found = {row.agent for row in agents.where(is_bot_agent(F.col("agent"))).collect()}
    assert found == set(BOTS)


def test_behaviour_that_no_person_shows_flags_a_session_and_nothing_is_dropped(spark: SparkSession) -> None:
    person, bot = PEOPLE[0], BOTS[0]
    rows = [
        ("reads", 29, 10.0, 900_000, person, None),
        ("named", 1, 0.0, None, bot, "user_agent"),
        ("fast", 31, 90.0, 60_000_000, person, "rate"),
        ("steady", 31, 91.0, 60_000_000, person, None),
        ("restless", 200, 6000.0, 1_000_000, None, "no_dwell"),
        ("wide", 120, 6000.0, 60_000_000, person, "breadth"),
        ("narrow", 119, 6000.0, 60_000_000, person, None),
    ]
    sessions = frame_of_rows(
        spark,
        [row[:5] for row in rows],
        "session_id string, events bigint, duration_seconds double, longest_pause bigint, user_agent string",
    )
    pages = [("wide", f"p{i}", None) for i in range(60)] + [("wide", None, f"/{i}") for i in range(60)]
    pages += [("narrow", f"p{i % 99}", "/same") for i in range(119)]
    cut = frame_of_rows(spark, pages, "session_id string, product_id string, page_url string")
    found = {r.session_id: (r.bot_reason, r.is_bot) for r in with_bot(sessions, cut=cut, behaviour=PLAIN).collect()}
    assert found == {row[0]: (row[-1], row[-1] is not None) for row in rows}
