"""Figures: what a tile shows as a file at a size for paper or a slide."""
