"""Before the gate: points, needs and factors; afterwards: the optimum and an independent look at the day."""
