"""Memory that the C library shall keep between steps.

An update rule returns new tensors. By default glibc gives the freed ones back to the system at once
and takes them anew at the next step, and touching fresh pages costs more than the arithmetic on
them. Elsewhere nothing is changed.
"""

from __future__ import annotations

import ctypes
import functools
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_KEPT_BYTES = 256 * 1024 * 1024
_LARGEST_POOLED = 32 * 1024 * 1024


@functools.cache
def keep_freed_memory() -> None:
    """Keep up to 256 MiB of freed memory for the next step; once a process, on Linux with glibc."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent in musl
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _KEPT_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_POOLED)
