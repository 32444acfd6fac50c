"""Labels within sentences."""

from __future__ import annotations

import re

_NAMES = frozenset(
    [
        "Fisher",
        "Gaussian",
        "Hessian",
        "Krylov",
        "Lanczos",
        "Markov",
        "Nesterov",
        "Newton",
        "Polyak",
        "Rademacher",
        "Wolfe",
    ]
)
"""People, who are spelled with a capital letter everywhere."""


def in_sentence(label: str) -> str:
    """Return a label as it stands within a sentence.

    Its first letter is small there, unless it begins with a name, an abbreviation or a symbol:
    ``learning rate``, but ``Hessian eigenvalues``, ``AMSGrad`` and ``L1 penalty``.
    """
    first = re.split(r"[\s\-–’']", label, maxsplit=1)[0]
    if first in _NAMES or (first[1:] and not first[1:].islower()):
        return label
    return label[:1].lower() + label[1:]
