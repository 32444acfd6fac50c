"""The instruments of a run: switches, settings and plots."""
