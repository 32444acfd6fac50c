"""Memory that the C library keeps between steps.

An update rule returns new tensors. By default glibc returns the freed ones to the system at once
and requests them again at the next step, and touching new pages costs more than the arithmetic on
them. Nothing changes on other systems.
"""

from __future__ import annotations

import ctypes
import functools
import sys

_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
_RETAINED_BYTES = 256 * 1024 * 1024
_MAX_POOLED_BYTES = 32 * 1024 * 1024


@functools.cache
def keep_freed_memory() -> None:
    """Keep up to 256 MiB of freed memory for the next step; once a process, on Linux with glibc."""
    if not sys.platform.startswith("linux"):
        return
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)  # absent in musl
    if mallopt is not None:
        mallopt(_M_TRIM_THRESHOLD, _RETAINED_BYTES)
        mallopt(_M_MMAP_THRESHOLD, _MAX_POOLED_BYTES)
