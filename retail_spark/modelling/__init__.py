"""What every learning domain shares: recipes, the gate, the contest, hold-outs, boosters, and the one served model."""
