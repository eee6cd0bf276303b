"""Experiments and promotions: who was assigned to what, and what is known of the units beside sales and events."""

from __future__ import annotations

from retail_spark.lake.contract import DOUBLE, NUMBER_MAP, ORIGIN, STRING, TIMESTAMP, Column, Contract

ASSIGNMENTS = Contract(
    "silver.assignments",
    grain="One row per experiment, unit and variant that the unit was assigned to; a sound experiment has one a unit.",
    key=("experiment_id", "unit_id", "variant"),
    columns=(
        Column("experiment_id", STRING, "Experiment or promotion."),
        Column(
            "unit_id", STRING, "What was assigned: a customer, where sales are to be read, or any other.", subject=True
        ),
        Column("variant", STRING, "Variant that the unit was assigned to."),
        Column("assigned_at", TIMESTAMP, "Time of the assignment, UTC."),
        Column("cluster_id", STRING, "What was assigned as a whole, such as a store.", nullable=True),
        Column("stratum", STRING, "Group inside which units were assigned, known before.", nullable=True),
        *ORIGIN,
    ),
    cluster_by=("experiment_id", "assigned_at"),
    known_by="assigned_at",
)

OUTCOMES = Contract(
    "silver.outcomes",
    grain="One row per experiment, unit, metric and time of measurement, for results that are not in sales or events.",
    key=("experiment_id", "unit_id", "metric", "measured_at"),
    columns=(
        Column("experiment_id", STRING, "Experiment or promotion."),
        Column("unit_id", STRING, "Unit, as in silver.assignments.", subject=True),
        Column("metric", STRING, "What was measured."),
        Column("value", DOUBLE, "Value in the metric's own unit; 1 and 0 for yes and no."),
        Column("measured_at", TIMESTAMP, "Time of the measurement, UTC."),
        Column("features", NUMBER_MAP, "What was known of the unit before the assignment, by name.", nullable=True),
        *ORIGIN,
    ),
    cluster_by=("experiment_id", "measured_at"),
    known_by="measured_at",
)
