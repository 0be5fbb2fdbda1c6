"""One grid owner: its limits, its accepted state, and what a change would do there."""
