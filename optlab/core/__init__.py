"""What every other package stands on.

Errors, paths, typed fields, components and the registry that finds them. Nothing here imports torch
or Qt.
"""
