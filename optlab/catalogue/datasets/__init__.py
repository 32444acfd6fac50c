"""Data sets: real ones that ship with a library, generated ones, and files of the user."""
