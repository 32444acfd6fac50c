"""The figures: a file dropped in here is a figure from then on."""
