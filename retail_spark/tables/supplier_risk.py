"""The tables that the job `supplier_risk` writes."""

from __future__ import annotations

from retail_spark.lake.contract import (
    BOOLEAN,
    DATE,
    DOUBLE,
    LONG,
    NUMBER_MAP,
    STRING,
    TEXTS,
    Column,
    snapshot,
)
from retail_spark.tables.columns import share

BANDS = ("low", "medium", "high", "critical")
TRENDS = ("better", "steady", "worse")
LEVELS = ("all", "lane", "supplier", "supplier_lane", "supplier_lane_category")


_LATE_RATE = (
    share(
        "late_rate",
        "Share of shipments that are late, overdue ones among them, drawn to the level above where few are known",
    ),
    share("late_rate_low", "Lower end of its 95 % interval"),
    share("late_rate_high", "Upper end of its 95 % interval"),
)

SUPPLIER_RISK = snapshot(
    "gold.supplier_risk",
    grain="One row per supplier with a line promised in the window before as_of, or open then.",
    key=("supplier_id",),
    columns=(
        Column("supplier_id", STRING, "Supplier."),
        Column("risk_score", DOUBLE, "Expected value at risk with concentration, 0 (none) to 100.",
               check="risk_score BETWEEN 0 AND 100"),
        Column("risk_band", STRING, "low, medium, high or critical, by the settings' thresholds.",
               check="risk_band IN ('low', 'medium', 'high', 'critical')"),
        share("p_late", "Mean probability that an open line is late, 1 for an overdue one; the shrunk rate where none "
               "is open"),
        *_LATE_RATE,
        share("otif_rate", "Share delivered on time and in full, by the settings' level and tolerance",
               nullable=True),
        share("fill_rate", "Units received of units ordered, no line above what was ordered", nullable=True),
        share("defect_rate", "Units rejected of units received", nullable=True),
        Column("lead_time_p50_days", DOUBLE, "Median days from order to delivery, open ones censored (Kaplan-Meier).",
               nullable=True, check="lead_time_p50_days >= 0"),
        Column("lead_time_p90_days", DOUBLE, "Days within which 90 % arrive, open ones censored (Kaplan-Meier).",
               nullable=True, check="lead_time_p90_days >= 0"),
        Column("deliveries", LONG, "Shipments that have arrived; lines of one shipment count once.",
               check="deliveries >= 0"),
        Column("open_deliveries", LONG, "Lines that are open.", check="open_deliveries >= 0"),
        Column("overdue_deliveries", LONG, "Open lines whose day promised is over.", nullable=True,
               check="overdue_deliveries >= 0"),
        Column("contradictory_lines", LONG, "Lines in the window ordered after they came: they have no lead time.",
               nullable=True, check="contradictory_lines >= 0"),
        share("value_share", "Share of the value of all lines in the window"),
        share("hhi", "Herfindahl index of the categories it supplies, weighted by its value in each"),
        share("hhi_country", "Herfindahl index over suppliers of the country it sends from", nullable=True),
        Column("is_single_source", BOOLEAN, "Some product (or category) in the window came from it alone."),
        Column("trend", STRING, "Lateness of late against before: better, steady or worse; NULL while none of its "
               "shipments has come or is overdue.", nullable=True, check="trend IN ('better', 'steady', 'worse')"),
        Column("changed_on", DATE, "Day of the last change in lateness or lead time; NULL when none was found.",
               nullable=True),
        Column("changed_what", STRING, "late_up, late_down, slower or faster; NULL without a change.", nullable=True,
               check="changed_what IN ('late_up', 'late_down', 'slower', 'faster')"),
        Column("reasons", TEXTS, "Why, in words; what weighs most comes first."),
    ),
    checks=(("late_rate_ordered", "late_rate_low <= late_rate AND late_rate <= late_rate_high"),),
)  # fmt: skip

DELIVERY_RISK = snapshot(
    "gold.delivery_risk",
    grain="One row per open line: known by as_of, and not known to have arrived by then.",
    key=("delivery_id",),
    columns=(
        Column("delivery_id", STRING, "Line of a purchase order."),
        share("p_late", "Calibrated probability that it arrives after the day promised; 1 where that day is over"),
        Column("is_overdue", BOOLEAN, "The day promised is over."),
        share("p_late_raw", "The same before calibration"),
        Column("margin", DOUBLE, "Log odds behind p_late_raw."),
        Column("delay_p50_days", DOUBLE, "Median of delivered minus promised, days; negative is early.",
               nullable=True),
        Column("delay_p90_days", DOUBLE, "90 % quantile of delivered minus promised, days.", nullable=True),
        Column("contributions", NUMBER_MAP, "What each column adds to the margin; with (base) they sum to it."),
    ),
    checks=(("delay_ordered", "delay_p50_days IS NULL OR delay_p50_days <= delay_p90_days"),),
)  # fmt: skip

SUPPLIER_LEVELS = snapshot(
    "gold.supplier_levels",
    grain="One row per level and member, such as a supplier on a lane: the shrunk rate, and a change seen there.",
    key=("level", "member"),
    columns=(
        Column("level", STRING, "all, lane, supplier, supplier_lane or supplier_lane_category.",
               check="level IN ('all', 'lane', 'supplier', 'supplier_lane', 'supplier_lane_category')"),
        Column("member", STRING, "Parts of the member joined by ' | ' (a |, > or \\ inside a part has a \\ before it); "
               "* for level all."),
        Column("supplier_id", STRING, "Supplier, where the level has one.", nullable=True),
        Column("lane", STRING, "Countries sent from and to, where the level has them.", nullable=True),
        Column("category", STRING, "Product group, where the level has one.", nullable=True),
        Column("deliveries", LONG, "Shipments that have arrived.", check="deliveries >= 0"),
        Column("overdue", LONG, "Shipments that have not, and should have.", nullable=True, check="overdue >= 0"),
        Column("late", LONG, "Late ones of both.", check="late >= 0"),
        *_LATE_RATE,
        Column("changed_on", DATE, "Day of the last change at this level alone: a change of the level "
               "above is not repeated below.", nullable=True),
        Column("changed_what", STRING, "late_up, late_down, slower or faster.", nullable=True,
               check="changed_what IN ('late_up', 'late_down', 'slower', 'faster')"),
        Column("suppliers", LONG, "Suppliers behind the member.", check="suppliers >= 1"),
    ),
    checks=(("late_rate_ordered", "late_rate_low <= late_rate AND late_rate <= late_rate_high"),),
)  # fmt: skip
