"""The physics: network, power flow, sensitivities, limits, needs, trade screening (per unit, float64)."""
