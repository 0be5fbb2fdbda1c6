"""What can be told of a market at any moment: folds of its events."""
