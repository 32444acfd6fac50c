"""Manners of the window: undo, palette, preferences, session, reports and the first start."""
