"""Instruments: quantities that cost something, taken on a schedule."""
