"""Measurements: each is run beside its floor, in turns, in one process tree; ratios are what counts."""
