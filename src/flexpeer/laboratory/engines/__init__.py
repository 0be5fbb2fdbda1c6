"""Engines for a clearing problem of any kind, and what their answers are worth."""
