"""Distributed clearing of what is left at gate closure: one problem, three engines, one certificate."""
