"""Runs that other programs have recorded, read without trust."""
