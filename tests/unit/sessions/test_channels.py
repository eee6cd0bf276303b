from __future__ import annotations

from datetime import timedelta

from pyspark.sql import SparkSession

from retail_spark.local_rows import frame_of_rows
from retail_spark.sessions.channels import with_channel, with_history
from retail_spark.sessions.contracts import CHANNELS
from tests.unit.sessions.events import DAY

# referrer, utm_source, utm_medium, utm_campaign -> channel
CASES: list[tuple[str | None, str | None, str | None, str | None, str]] = [
    (None, None, None, None, "Direct"),
    (None, "(direct)", "(none)", None, "Direct"),
    ("not a url", None, None, None, "Direct"),
    ("https://www.google.co.uk/", None, None, None, "Organic Search"),
    ("https://mail.google.com/", None, None, None, "Referral"),
    ("https://duckduckgo.com/?q=tea", None, None, None, "Organic Search"),
    ("https://notgoogle.example/", None, None, None, "Referral"),
    ("https://l.facebook.com/l.php", None, None, None, "Organic Social"),
    ("https://t.co/abc", None, None, None, "Organic Social"),
    ("https://at.co/abc", None, None, None, "Referral"),
    ("https://www.youtube.com/watch", None, None, None, "Organic Video"),
    ("https://www.amazon.de/dp/1", None, None, None, "Organic Shopping"),
    ("https://blog.example/post", None, None, None, "Referral"),
    ("https://www.google.com/", "google", "cpc", "brand", "Paid Search"),
    (None, "Google", "CPC", "summer shop", "Paid Shopping"),
    (None, "google", "cpc", "workshop", "Paid Search"),
    (None, "google", "cpc", "bishop", "Paid Search"),
    (None, "google", "cpc", "eshop", "Paid Shopping"),
    (None, "google", "cpc", "Cross-Network pmax", "Cross-network"),
    (None, "facebook", "paid_social", None, "Paid Social"),
    (None, "youtube", "cpv", None, "Paid Video"),
    (None, "youtube", "cpcv", None, "Paid Video"),
    (None, "partner", "banner", None, "Display"),
    (None, "partner", "cpm", None, "Display"),
    (None, "partner", "retargeting", None, "Paid Other"),
    (None, "newsletter", "email", "weekly", "Email"),
    (None, "e-mail", "weekly", None, "Email"),
    (None, "partner", "affiliate", None, "Affiliates"),
    (None, "partner", "referral", None, "Referral"),
    (None, "spotify", "audio", None, "Audio"),
    (None, "sms", "blast", None, "SMS"),
    (None, "app", "web-push", None, "Mobile Push Notifications"),
    (None, "firebase", "(not set)", None, "Mobile Push Notifications"),
    (None, "any", "organic", None, "Organic Search"),
    (None, "any", "social network", None, "Organic Social"),
    (None, "any", "video ads", None, "Organic Video"),
    (None, "any", "print", None, "Unassigned"),
    (None, None, None, "spring", "Unassigned"),
]


def test_channels_follow_the_published_rules(spark: SparkSession) -> None:
    rows = [(number, *case[:4]) for number, case in enumerate(CASES)]
    sessions = frame_of_rows(
        spark, rows, "n int, referrer string, utm_source string, utm_medium string, utm_campaign string"
    )
    found = [row.channel for row in with_channel(sessions).orderBy("n").collect()]
    assert {case: name for case, name in zip(CASES, found, strict=True) if name != case[-1]} == {}
    assert set(found) == set(CHANNELS), "every channel is met"


def test_the_last_other_channel_is_remembered_for_the_look_back(spark: SparkSession) -> None:
    days = [(0, "Direct"), (1, "Email"), (2, "Direct"), (11, "Direct"), (12, "Direct"), (13, "Display")]
    rows = [("ann", f"s{day:02d}", DAY + timedelta(days=day), name) for day, name in days]
    sessions = frame_of_rows(spark, rows, "visitor_id string, session_id string, started_at timestamp, channel string")
    found = with_history(sessions, look_back_days=10).orderBy("started_at").collect()
    assert [row.last_non_direct_channel for row in found] == [None, "Email", "Email", "Email", None, "Display"]
    assert [row.session_number for row in found] == [1, 2, 3, 4, 5, 6]
