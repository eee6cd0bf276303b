"""Settings of the job `customers`."""

from __future__ import annotations

from retail_spark.config.section import Section, TimeZone, setting


class ValueSettings(Section):
    """How far ahead customers are valued, and how."""

    horizon_days: int = setting(365, "days ahead for which purchases and value are expected", unit="days", ge=7)
    discount_per_year: float = setting(0.1, "discount of money a year ahead", unit="share 0..1", ge=0, le=1)
    spend_quantile: float = setting(
        0.995,
        "mean spends above this quantile of all count as the quantile in the fit: a few large buyers do not rule it",
        unit="share 0..1",
        gt=0.5,
        le=1,
    )
    draws: int = setting(400, "draws for the intervals", ge=50)


class FitSettings(Section):
    """How models are fitted."""

    min_repeaters: int = setting(50, "customers who came again below which no model is fitted", unit="customers", ge=10)
    bootstrap: int = setting(20, "bootstrap fits for the standard errors; 0: none", ge=0)
    max_spend_customers: int = setting(
        200_000, "customers at most, sampled by hash, to whom the spend model is fitted", unit="customers", ge=1_000
    )


class JobSettings(Section):
    """What a purchase day is, how models are judged, and their parts."""

    time_zone: TimeZone = setting("UTC", "time zone of the shop, in which days begin and end")
    holdout_days: int = setting(
        0, "last days that are held out to judge the model; 0: a third of all, at most 182", unit="days", ge=0
    )
    value: ValueSettings = setting(ValueSettings, "how far ahead customers are valued, and how")
    fit: FitSettings = setting(FitSettings, "how models are fitted")
