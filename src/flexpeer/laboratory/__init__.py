"""Clearings that no market day can reach: engines, problem files, and programs that clear one between them."""
