"""Export of stored runs to files for other programs; the entry point is :func:`export`."""

from optlab.store.export.exporting import FORMATS, export

__all__ = ["FORMATS", "export"]
