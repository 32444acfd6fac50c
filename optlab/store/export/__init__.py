"""Stored runs as files that other programs read; :func:`export` is the way in."""

from optlab.store.export.exporting import FORMATS, export

__all__ = ["FORMATS", "export"]
