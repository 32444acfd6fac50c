"""Labels within sentences keep names and abbreviations."""

from __future__ import annotations

import pytest

from optlab.core import registry
from optlab.core.wording import in_sentence


@pytest.mark.parametrize(
    ("label", "within"),
    [
        ("Learning rate", "learning rate"),
        ("Weight decay L2", "weight decay L2"),
        ("Hessian eigenvalues", "Hessian eigenvalues"),
        ("Newton–Schulz steps", "Newton–Schulz steps"),
        ("AMSGrad", "AMSGrad"),
        ("L1 penalty", "L1 penalty"),
        ("0-1 error", "0-1 error"),
        ("Raise the rate to 1E-3", "raise the rate to 1E-3"),
        ("A", "a"),
        ("", ""),
    ],
)
def test_that_a_label_within_a_sentence_keeps_its_names(label: str, within: str) -> None:
    assert in_sentence(label) == within


def test_that_nothing_but_the_first_letter_of_a_label_changes() -> None:
    labels = {
        label
        for kind in registry.sections()
        for component in registry.components(kind)
        for label in (component.label, *(field.label for field in component.fields()))
    }
    assert len(labels) > 200
    assert {label for label in labels if in_sentence(label)[1:] != label[1:]} == set()
