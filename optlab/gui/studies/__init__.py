"""Studies and claims in the window: their list, pages, runs, and what is seen of one while it goes."""
