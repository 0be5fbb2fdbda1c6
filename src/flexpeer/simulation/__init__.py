"""Scenarios made from a seed, the built-in demo among them."""
