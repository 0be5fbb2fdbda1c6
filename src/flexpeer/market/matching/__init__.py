"""Who meets whom: the order book, its naive oracle, its compiled engine, and the sweep of one order."""
