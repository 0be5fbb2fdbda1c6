"""Who meets whom: the order book, its naive oracle and its compiled engine."""
