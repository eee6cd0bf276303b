"""Price elasticity from moments, its standard errors, and the prices that follow from it."""
