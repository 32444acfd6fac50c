"""Limits that several packages share: how much is computed at once, and up to which size.

A limit that only one module uses stays in that module.
"""

from __future__ import annotations

CHUNK_VALUES = 4_000_000
"""Input values, over all runs, that are evaluated at once (16 MB in float32).

Bounds the memory of a pass over a large data set. Larger chunks are not faster.
"""

MAX_PARAMETERS = 200_000_000
"""P up to which a model is accepted: a larger one does not fit the memory of common machines."""

EXACT_UP_TO = 500
"""P up to which a step may build the Hessian and take all its eigenvalues.

Its P² numbers and P³ operations then take milliseconds.
"""

MAX_WHOLE_SPECTRUM = 1500
"""P up to which a study takes all eigenvalues of a Hessian unasked; that takes seconds."""

MAX_DENSE = 8192
"""P up to which a P × P matrix is built at all.

It takes half a gigabyte in double precision, and its eigenvalues take minutes.
"""

MAX_TABLE = 50_000_000
"""Numbers of a table with a row for every training example (200 MB in float32), at most."""

MAX_WAITING_ROWS = 512
"""Steps whose values an instrument buffers before it computes with them."""

MAX_TRIVIAL_POINTS = 3
"""Points up to which a path always lies in a plane, so that a share of its variance says nothing."""

UNTIL_STOPPED = 10**12
"""Steps of a budget that is never spent: the run goes on until the user stops it."""
