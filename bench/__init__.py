"""Turnout's measurements: `python -m bench` runs them all, `make bench` sets up first.

A module `bench/<area>_bench.py` offers `rows() -> list[Row]`. Figures are ratios of slices taken in
turn (`bench.paired`) wherever there is something to compare with, and CPU seconds of whole process
trees (`bench.cpu`) rather than wall clock, because machines are shared and noisy.
"""
