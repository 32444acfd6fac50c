"""Scenes: prepared pictures and runs for an audience, as TOML files that are read and checked."""
