"""flexpeer: customers of a congested grid trade their way out of the congestion."""

__version__ = "0.1.0"
