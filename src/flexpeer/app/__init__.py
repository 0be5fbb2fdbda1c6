"""Use cases: the market day, one grid owner's validator, the event log's port."""
