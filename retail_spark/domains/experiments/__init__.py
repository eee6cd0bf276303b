"""What a change causes: experiments analysed from sums, with intervals that allow daily looks, and a decision."""

from retail_spark.engine.catalogue import Entry

ENTRY = Entry("what a change causes, and what to do", headline=("experiments", "ship", "stop", "go_on", "invalid"))
