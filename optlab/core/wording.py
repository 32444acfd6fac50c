"""Labels within sentences."""

from __future__ import annotations

import re

_PEOPLE = "Boltzmann Fisher Gauss Gaussian Hessian Krylov Lanczos Levenberg Markov Nesterov Newton Polyak Wolfe"
_METHODS = "Adadelta Adafactor Adagrad Adam Adamax Adan Lion Muon Prodigy Rprop Shampoo Sophia"
_NAMES = frozenset(f"{_PEOPLE} {_METHODS}".split())
"""What is spelled with a capital letter everywhere."""


def in_sentence(label: str) -> str:
    """Return a label as it stands within a sentence.

    Its first letter is small there, unless it begins with a name, an abbreviation or a symbol:
    ``learning rate``, but ``Hessian eigenvalues``, ``AMSGrad`` and ``L-BFGS``.
    """
    first = re.split(r"[\s\-–’']", label, maxsplit=1)[0]
    letter = len(first) == 1 and label[1:2] == "-"
    if letter or first in _NAMES or (first[1:] and not first[1:].islower()):
        return label
    return label[:1].lower() + label[1:]
