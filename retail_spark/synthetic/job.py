"""The job `synthetic`: a made-up retailer whose elasticities, tastes, sessions and lateness are known."""

from __future__ import annotations

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from retail_spark.engine.job import Outcome, Run, job
from retail_spark.lake.contract import Contract
from retail_spark.lake.write import replace_slice
from retail_spark.synthetic import (
    assortment,
    calendar,
    clicks,
    contracts,
    deliveries,
    demand,
    exports,
    exposures,
    faults,
    market,
    marketing,
    shoppers,
    truths,
)
from retail_spark.synthetic.chance import Chance
from retail_spark.synthetic.settings import JobSettings, World

Frames = dict[Contract, DataFrame]


def synthetic(run: Run, settings: JobSettings) -> Outcome:
    """Make the retailer of the settings and the seed; it replaces the earlier one of the same name."""
    world, chance = World.of(settings), Chance(run.seed)
    frames = shops(run, world, chance)
    frames |= web(run, frames[contracts.TRUE_PRODUCTS], frames[contracts.TRUE_CUSTOMERS], world, chance)
    frames |= purchasing(run.spark, world, chance)
    bad = {fault.table for fault in faults.FAULTS}
    for contract in bad:
        rows = faults.to_bad_rows(run.spark, contract, world=world, chance=chance)
        frames[contract] = frames[contract].unionByName(rows)
    frames[contracts.TRUE_BAD_ROWS] = faults.to_true_bad_rows(run.spark, world=world)
    if settings.market:
        frames |= markets(run, settings, chance)
    tables = {contract: _named(contract, frame, settings.retailer) for contract, frame in frames.items()}
    with run.progress.step("sales", "making sales"):
        sales = run.stage("made_sales", tables[contracts.RAW_SALES])
    tables[contracts.RAW_SALES] = sales
    return Outcome(
        tables=tuple(
            replace_slice(contract, frame, staged=frame is sales, retailer=settings.retailer)
            for contract, frame in tables.items()
        ),
        metrics={"sale_lines": sales.count(), "bad_rows": faults.bad_row_count(world)},
    )


def shops(run: Run, world: World, chance: Chance) -> Frames:
    """Stores, products, customers, prices, stock and sales.

    What several tables are made of is staged: planning it anew for each costs more than reading it.
    """
    spark = run.spark
    stores = run.stage("made_stores", assortment.to_stores(spark, world=world, chance=chance))
    products = run.stage("made_products", assortment.to_products(spark, world=world, chance=chance))
    customers = run.stage("made_customers", shoppers.to_customers(spark, world=world, chance=chance))
    days = run.stage("made_days", calendar.to_days(spark, world=world))
    listings = assortment.to_listings(stores, products, world=world, chance=chance)
    weeks = run.stage("made_weeks", demand.to_price_weeks(listings, world=world, chance=chance))
    cells = demand.to_cells(weeks, days, world=world, chance=chance)
    tickets = shoppers.to_tickets(customers, world=world)
    bought = demand.to_lines(cells, chance=chance).transform(
        shoppers.with_customer, tickets, world=world, chance=chance
    )
    return {
        contracts.RAW_SALES: exports.to_sales(bought, world=world, chance=chance),
        contracts.RAW_PRODUCTS: exports.to_product_list(products, world=world),
        contracts.RAW_STORES: exports.to_store_list(stores),
        contracts.RAW_CUSTOMERS: exports.to_card_list(customers, stores, world=world),
        contracts.RAW_CALENDAR: exports.to_calendar(days),
        contracts.RAW_PLANNED_PRICES: exports.to_planned_prices(weeks, world=world),
        contracts.RAW_INVENTORY: exports.to_inventory(cells, chance=chance),
        contracts.TRUE_PRODUCTS: truths.to_true_products(products),
        contracts.TRUE_CUSTOMERS: truths.to_true_customers(customers),
        contracts.TRUE_STORES: truths.to_true_stores(stores, world=world),
        contracts.TRUE_DEMAND: cells if world.writes_demand else cells.where(F.lit(False)),
    }


def web(run: Run, products: DataFrame, customers: DataFrame, world: World, chance: Chance) -> Frames:
    """The web shop's events, the weekly mail, and what marketing costs."""
    visitors = clicks.to_visitors(run.spark, customers, world=world, chance=chance)
    visits = clicks.to_visits(visitors, world=world, chance=chance)
    events = run.stage("made_events", clicks.to_events(visits, products, world=world, chance=chance))
    return {
        contracts.RAW_EVENTS: clicks.to_event_log(events, world=world, chance=chance),
        contracts.RAW_EXPOSURES: exposures.to_exposures(run.spark, world=world, chance=chance),
        contracts.RAW_MARKETING_SPEND: marketing.to_spend(run.spark, world=world),
        contracts.TRUE_SESSIONS: clicks.to_true_sessions(events),
    }


def markets(run: Run, settings: JobSettings, chance: Chance) -> Frames:
    """The market whose prices react to demand, its twin, and the truth of both."""
    size = market.MarketSize(settings.market_categories, settings.market_stores, settings.weeks)
    start = World.of(settings).start_on
    both = [market.to_market(run.spark, market=name, size=size, chance=chance) for name in market.MARKETS]
    cells = run.stage("made_markets", both[0].unionByName(both[1]).transform(market.with_dates, start=start))
    return {
        contracts.RAW_MARKET_SALES: market.to_market_sales(cells),
        contracts.TRUE_MARKET_ELASTICITIES: market.to_true_elasticities(run.spark, size=size, chance=chance),
        contracts.TRUE_MARKET_SCENARIOS: cells,
    }


def purchasing(spark: SparkSession, world: World, chance: Chance) -> Frames:
    """Suppliers and their deliveries."""
    suppliers = deliveries.to_suppliers(spark, world=world, chance=chance)
    lines = deliveries.to_delivery_lines(spark, world=world, chance=chance)
    return {
        contracts.RAW_SUPPLIERS: deliveries.to_supplier_list(suppliers),
        contracts.RAW_DELIVERIES: deliveries.to_delivery_list(lines, world=world, chance=chance),
        contracts.TRUE_SUPPLIERS: deliveries.to_true_suppliers(suppliers, world=world),
        contracts.TRUE_DELIVERIES: deliveries.to_true_deliveries(lines),
    }


def _named(contract: Contract, frame: DataFrame, retailer: str) -> DataFrame:
    return frame.withColumn("retailer", F.lit(retailer)).transform(contract.select)


JOB = job("synthetic", settings=JobSettings, writes=(*contracts.RAW, *contracts.TRUTH, *contracts.MARKET))(synthetic)
