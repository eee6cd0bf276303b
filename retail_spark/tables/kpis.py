"""The tables that the job `kpis` writes: each figure is defined here, once."""

from __future__ import annotations

from functools import partial

from retail_spark.lake.contract import DATE, STRING, Column, Contract, snapshot
from retail_spark.tables.columns import count, number, one_of, optional_share
from retail_spark.tables.values import EVERYTHING, KPI_LEVELS, UNKNOWN

_count = partial(count, nullable=True)

_FIGURES = (
    number("gross_revenue", "Quantity times price of what was sold.", "gross_revenue >= 0"),
    number("returned_revenue", "Quantity times price of what came back, not negative.", "returned_revenue >= 0"),
    number("revenue", "gross_revenue less returned_revenue."),
    optional_share("return_rate", "returned_revenue by gross_revenue, at most 1; NULL without sales"),
    number("units_sold", "Units sold, returns not taken off.", "units_sold >= 0"),
    number("units", "Units sold less units that came back."),
    _count("orders", "Different orders of a store with something sold; a line without order_id counts as one. NULL "
           "where no line has an order_id."),
    _count("customers", "Different known customers who bought; NULL where no line has a customer_id."),
    _count("new_customers", "Of these, those who had never bought before, in any store."),
    _count("returning_customers", "customers less new_customers."),
    optional_share("repeat_rate", "returning_customers by customers; NULL without customers"),
    number("average_order_value", "gross_revenue by orders.", "average_order_value >= 0"),
    number("basket_size", "units_sold by orders.", "basket_size >= 0"),
    number("gross_margin", "What is left of the revenue of lines with a known unit cost (of the line, or else of the "
            "product) when the cost is taken off, by that revenue; NULL where no cost is known or that revenue is not "
            "above 0."),
    optional_share("costed_share", "Gross revenue of lines with a known unit cost by gross_revenue"),
    optional_share("promotion_share", "Gross revenue of lines that were advertised, on display or on deal by "
                   "gross_revenue; NULL where no line says"),
    _count("stocked_item_days", "Store-products whose stock was counted, summed over the days."),
    _count("out_of_stock_item_days", "Of these, those with nothing on hand at the end of the day."),
    optional_share("out_of_stock_share", "out_of_stock_item_days by stocked_item_days"),
    number("stock_turn", "How often a year the stock turns over at this pace: units sold by the average units on "
            "hand, times 365 by the days; NULL without stock.", "stock_turn >= 0"),
    _count("sessions", "Sessions of people, bots left out; only at level all."),
    optional_share("conversion", "Share of these sessions with a purchase; only at level all"),
    number("marketing_spend", "Money spent on marketing; only at level all."),
    number("customer_acquisition_cost", "marketing_spend by new_customers; NULL where nobody is new."),
    number("return_on_ad_spend", "revenue by marketing_spend; NULL where nothing was spent."),
)  # fmt: skip


def _table(name: str, period: Column, grain: str) -> Contract:
    return snapshot(
        name,
        grain=grain,
        key=(period.name, "level", "channel", "store_id", "category", "currency"),
        columns=(
            period,
            Column("level", STRING, f"What the row is broken down by: {', '.join(KPI_LEVELS)}. Figures that count "
                   "different things (orders, customers) do not add up over levels.",
                   check=one_of("level", KPI_LEVELS)),
            Column("channel", STRING, f"Format of the stores, such as online; {UNKNOWN} or {EVERYTHING} for all."),
            Column("store_id", STRING, f"Store; {EVERYTHING} for all."),
            Column("category", STRING, f"Category of the products, {UNKNOWN} or {EVERYTHING} for all."),
            Column("currency", STRING, f"Currency of all money in the row, which is never added across currencies; "
                   f"{UNKNOWN} where the source names none."),
            *_FIGURES,
        ),
    )  # fmt: skip


KPIS_DAILY = _table(
    "gold.kpis_daily",
    Column("day", DATE, "Day of the shop, whole at the end of as_of (UTC)."),
    "One row per day, level, channel, store, category and currency with anything to report; at level all every day. "
    "What the sales tell is 0 where nothing was sold.",
)
KPIS_WEEKLY = _table(
    "gold.kpis_weekly",
    Column("week", DATE, "First day of the week; the first and the last week may be cut off."),
    "One row per week, level, channel, store, category and currency with anything to report; at level all every week. "
    "What the sales tell is 0 where nothing was sold.",
)
