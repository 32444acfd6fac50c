"""Measures: quantities recorded while training, each becoming a series.

A measure is a few lines, so a file of this folder is a table: the measures of one topic.
"""

TABLE = True
"""Whether a file holds several components; elsewhere it holds one that has the file's name."""
