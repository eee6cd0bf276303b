"""Product lists for every customer, from ALS and from what they bought before."""
