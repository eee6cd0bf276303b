"""Sessions: a visitor's events with no pause longer than the gap, and what is told of them."""

from retail_spark.engine.catalogue import Entry

ENTRY = Entry("a visitor's events to sessions, funnels and identities", headline=("sessions", "bounce_share"))
