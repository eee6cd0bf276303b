"""Settings of the job `sessionize`."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from retail_spark.config.section import Section, TimeZone, setting

Mode = Literal["strict_order", "strict_deduplication", "strict_increase", "allow_reentry"]


class Step(Section):
    """One step of a funnel."""

    name: str = Field(min_length=1)
    where: str = Field(min_length=1)
    """SQL condition over the columns of silver.events."""


class Funnel(Section):
    """Ordered steps inside one session, all within a window that opens with the first.

    What is strict about it is told as to ClickHouse's windowFunnel: strict_order (no other event in between),
    allow_reentry (with strict_order: a step that comes too early is passed over), strict_deduplication (a step that
    comes again ends the walk), strict_increase (steps lie at rising moments). An event that fulfils several steps
    counts for each of them. Events of one moment count in the order of the steps.
    """

    steps: tuple[Step, ...] = Field(min_length=1, max_length=32)
    window_minutes: float = Field(default=60.0, gt=0)
    mode: tuple[Mode, ...] = ()

    @field_validator("mode", mode="before")
    @classmethod
    def _may_be_one_text(cls, value: object) -> object:
        if not isinstance(value, str):
            return value
        return tuple(part for part in (part.strip() for part in value.split(",")) if part not in ("", "default"))

    @field_validator("mode")
    @classmethod
    def _goes_together(cls, value: tuple[Mode, ...]) -> tuple[Mode, ...]:
        if "allow_reentry" in value and "strict_order" not in value:
            raise ValueError("allow_reentry needs strict_order beside it")
        return value


def _shop_funnel() -> dict[str, Funnel]:
    steps = (("view", "product_view"), ("cart", "add_to_cart"), ("purchase", "purchase"))
    return {"purchase": Funnel(steps=tuple(Step(name=n, where=f"event_type = '{t}'") for n, t in steps))}


class JobSettings(Section):
    """When a session ends, who is a bot, and what is counted."""

    rule: Literal["gap", "client_session_id"] = setting(
        "gap",
        "gap: a pause ends a session; client_session_id: the tracker's own, cut by max_session_hours and the splits "
        "as well (a pause where it has none)",
    )
    gap_minutes: float = setting(
        30.0, "a session ends after a pause longer than this; a pause of exactly this keeps it", unit="minutes", gt=0
    )
    split_at_midnight: bool = setting(False, "a session also ends at midnight of time_zone")
    split_on_campaign: bool = setting(False, "a session also ends when another utm_campaign (not NULL) comes")
    max_session_hours: float | None = setting(
        24.0, "longer chains of events are cut every so many hours from their start; empty: never", unit="hours", gt=0
    )
    time_zone: TimeZone = setting("UTC", "time zone of midnight and of the dates of funnels")

    max_lateness_hours: float | None = setting(
        None, "events received later than this after they occurred are put aside; empty: none are", unit="hours", ge=0
    )
    max_ahead_minutes: float = setting(
        1440.0, "events that occurred this much after they were received are put aside", unit="minutes", ge=0
    )

    engaged_seconds: float = setting(10.0, "a session that lasts longer is engaged", unit="seconds", ge=0)
    engaged_views: int = setting(2, "a session with so many views is engaged", unit="views", ge=1)
    key_events: tuple[str, ...] = setting(("purchase",), "event types of which one makes a session engaged")
    dwell_seconds: float = setting(
        300.0, "a pause counts as dwell up to this: longer ones are absence", unit="seconds", gt=0
    )

    own_hosts: tuple[str, ...] = setting(
        (), "hosts of the shop itself, such as shop.example: no referrer (the host of the page never is one)"
    )
    look_back_days: int = setting(
        90, "how long the last channel other than Direct is remembered", unit="days", ge=1, le=3650
    )

    bot_events: int = setting(30, "events from which a session can be a bot's by its behaviour", unit="events", ge=2)
    bot_events_per_minute: float = setting(
        20.0, "a session with so many events a minute is a bot's", unit="events per minute", gt=0
    )
    bot_dwell_seconds: float = setting(
        1.0, "a session in which nothing is looked at longer than this is a bot's", unit="seconds", ge=0
    )
    bot_breadth: int = setting(
        100, "a session with so many different pages and products is a bot's", unit="pages", ge=2
    )

    max_customers: int = setting(
        2, "a visitor with more customers than this is a shared device and linked to none", unit="customers", ge=1
    )
    funnels: dict[str, Funnel] = setting(
        _shop_funnel(),
        "name: steps, window_minutes and mode, none or some of ClickHouse's windowFunnel: strict_order, "
        "allow_reentry, strict_deduplication, strict_increase",
    )

    source: Literal["batch", "stream"] = setting(
        "batch", "batch: what was added since the last run; stream: the same, as micro-batches of silver.events"
    )
    application_id: str = setting("sessionize", "name of the stream; a checkpoint of another stream is refused")
    checkpoint_dir: str | None = setting(
        None, "where the stream remembers its place; empty: <lake.root>/_checkpoints/<application_id>"
    )

    @model_validator(mode="after")
    def _funnels_are_named(self) -> Self:
        odd = [name for name in self.funnels if not re.fullmatch(r"[a-z][a-z0-9_]*", name)]
        if odd:
            raise ValueError(f"a funnel's name is lower case with underscores, not {odd[0]!r}")
        return self
