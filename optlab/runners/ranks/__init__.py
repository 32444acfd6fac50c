"""Ranks: processes that train one run together, each on its share of every batch."""
