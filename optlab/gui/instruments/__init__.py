"""The instruments beside a run: which are on, and what they show."""
