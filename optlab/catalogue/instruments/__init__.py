"""Instruments: quantities that are costly to compute, each recorded on its own schedule."""
