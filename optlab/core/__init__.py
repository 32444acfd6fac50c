"""The base of all other packages: errors, paths, typed fields, components and their registry.

Nothing in this package imports torch or Qt.
"""
