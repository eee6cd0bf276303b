from __future__ import annotations

import json
from datetime import timedelta
from importlib.resources import files

import pytest
from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from retail_spark.domains.sessionize.channels import host_of, with_channel, with_history
from retail_spark.domains.sessionize.source_categories import category_of, sources
from retail_spark.frames.local_rows import frame_of_rows
from retail_spark.tables.sessionize import CHANNELS
from tests.unit.sessionize.events import DAY

# referrer, utm_source, utm_medium, utm_campaign -> channel
CASES: list[tuple[str | None, str | None, str | None, str | None, str]] = [
    (None, None, None, None, "Direct"),
    (None, "(direct)", "(none)", None, "Direct"),
    ("not a url", None, None, None, "Direct"),
    ("https://www.google.co.uk/", None, None, None, "Organic Search"),
    ("https://mail.google.com/", None, None, None, "Referral"),
    ("https://duckduckgo.com/?q=tea", None, None, None, "Organic Search"),
    ("android-app://com.google.android.gm/", None, None, None, "Referral"),
    ("https://target.bank.example/", None, None, None, "Referral"),
    ("https://google.bank.example/", None, None, None, "Referral"),
    ("https://groups.google.com/g/tea", None, None, None, "Organic Social"),
    ("https://www.amazon.co.uk/dp/1", None, None, None, "Organic Shopping"),
    ("https://www.google.com/search?q=50% off|tea [1 TO 5] {}", None, None, None, "Organic Search"),
    ("//www.bing.com/a b?q={", None, None, None, "Organic Search"),
    (None, "mail.google.com", "referral", None, "Organic Search"),
    (None, "docs.google.com", "referral", None, "Referral"),
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


CATEGORY = {
    "search": "Organic Search", "shopping": "Organic Shopping", "social": "Organic Social", "video": "Organic Video",
}  # fmt: skip


def test_every_source_of_googles_list_and_of_ours_is_what_the_list_says(spark: SparkSession) -> None:
    told = json.loads((files("retail_spark.domains.sessionize") / "source_categories.json").read_text(encoding="utf-8"))
    assert "819 sources" in told["edition"]
    assert sum(len(names) for names in told["listed"].values()) == 819
    names = [(name, kind) for part in ("listed", "added") for kind in told[part] for name in told[part][kind]]
    assert len({name for name, _ in names}) == len(names), "no source has two categories"
    assert all(name == name.lower() for name, _ in names)
    assert {name: sources().category(name) for name, _ in names} == dict(names)
    schema = "utm_source string, utm_medium string, utm_campaign string, referrer string"
    rows = frame_of_rows(spark, [(name.title(), "referral", None, None) for name, _ in names], schema)
    found = {row.utm_source.lower(): row.channel for row in with_channel(rows).collect()}
    assert found == {name: CATEGORY[kind] for name, kind in names}


@pytest.mark.parametrize(
    ("source", "category"),
    [
        ("l.m.facebook.com", "social"),
        ("smile.amazon.com", "shopping"),
        ("amazon.com.br", "shopping"),
        ("google.de", "search"),
        ("tea.blogspot.de", "social"),
        ("answers.yahoo.com", "social"),
        ("de.search.yahoo.com", "search"),
        ("com.google.android.gm", None),
        ("target.bank.example", None),
        ("facebook.com.evil.example", None),
        ("notgoogle.com", None),
        ("com", None),
        ("", None),
    ],
)
def test_a_host_is_matched_at_the_borders_of_its_labels(source: str, category: str | None) -> None:
    assert sources().category(source) == category


def test_spark_finds_the_category_that_the_plain_rule_finds(spark: SparkSession) -> None:
    names = [
        "l.m.facebook.com",
        "a.b.c.d.e.vk.com",
        "amazon.com.br",
        "google.de",
        "x.co.uk",
        "co.uk",
        "line",
        "com",
        "",
    ]
    names += ["target.bank.example", "com.google.android.gm", "www.google.co.uk", "google.", ".google.com", "a..b"]
    rows = frame_of_rows(spark, [(name,) for name in names], "name string")
    found = {row.name: row.kind for row in rows.withColumn("kind", category_of(F.col("name"))).collect()}
    assert found == {name: sources().category(name) for name in names}


HOSTS = {
    "https://shop.example/list?f=a|b": "shop.example",
    "https://shop.example/list?price=[1 TO 5]": "shop.example",
    "https://shop.example?q=50% off": "shop.example",
    "https://shop.example/a b/{}#x": "shop.example",
    "HTTPS://ann:pw@WWW.Shop.Example:8443/x": "shop.example",
    " https://shop.example./?mail=ann@mail.example": "shop.example",
    "//shop.example/x": "shop.example",
    "https://[2001:db8::1]:8080/": "[2001:db8::1]",
    "/list?next=//shop.example": None,
    "shop.example/x": None,
    "": None,
    None: None,
}


def test_the_host_is_found_whatever_follows_it(spark: SparkSession) -> None:
    rows = frame_of_rows(spark, [(address,) for address in HOSTS], "address string")
    found = {row.address: row.host for row in rows.withColumn("host", host_of("address")).collect()}
    assert found == HOSTS


def test_the_last_other_channel_is_remembered_for_the_look_back(spark: SparkSession) -> None:
    days = [(0, "Direct"), (1, "Email"), (2, "Direct"), (11, "Direct"), (12, "Direct"), (13, "Display")]
    rows = [("ann", f"s{day:02d}", DAY + timedelta(days=day), name) for day, name in days]
    sessions = frame_of_rows(spark, rows, "visitor_id string, session_id string, started_at timestamp, channel string")
    found = with_history(sessions, look_back_days=10).orderBy("started_at").collect()
    assert [row.last_non_direct_channel for row in found] == [None, "Email", "Email", "Email", None, "Display"]
    assert [row.session_number for row in found] == [1, 2, 3, 4, 5, 6]
