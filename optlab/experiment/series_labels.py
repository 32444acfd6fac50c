"""What people read in place of the name of a series: the label of its measure, or plain words."""

from __future__ import annotations

from optlab.experiment.settings import label_of

BETWEEN = " · "
"""Between the name of a series and that of one of its columns."""
_BY_TENSOR = "_by_tensor"
_WORDS = {
    "amp_scale": "Scale of the gradient scaler",
    "amp_skipped_steps": "Steps that the gradient scaler skipped",
    "applied_gradient_norm": "Gradient norm after clipping",
    "gradient_norm": "Gradient norm",
    "gradient_surprise": "Gradient over its running size",
    "lost_share": "Share of updates lost in rounding",
    "lr": "Learning rate",
    "seconds": "Training time",
    "update_norm": "Update norm",
    "update_ratio": "Update norm over weight norm",
    "weight_norm": "Weight norm",
}
"""Names under which a watched loop is recorded → what they mean."""


def series_label(name: str) -> str:
    """Return what to call a series of a run of ours, ``validation_error`` or ``spectrum · λ1``.

    A name that no measure has becomes words: ``batch_size`` is *Batch size*. One of an
    instrument has its label before it.
    """
    of, between, column = name.partition(BETWEEN)
    instrument, point, value = of.partition(".")
    label = label_of("measure", of)
    if point:
        label = f"{label_of('instrument', instrument)}: {value.replace('_', ' ')}"
    elif label == of:
        label = _WORDS.get(of) or of.replace("_", " ")
        label = label[:1].upper() + label[1:]
    return f"{label}{between}{column}"


def watched_label(name: str) -> str:
    """Return what to call a series of a watched loop: in words where ``optlab.watch`` named it.

    A name that the loop gave itself stays as it is.
    """
    for base in sorted(_WORDS, key=len, reverse=True):
        rest = name.removeprefix(base)
        if rest == name:
            continue
        by_tensor = rest.startswith(_BY_TENSOR)
        # What is left tells one of several optimizers.
        number = rest.removeprefix(_BY_TENSOR)
        if number and not number.startswith("/"):
            continue
        return f"{_WORDS[base]}{' by tensor' if by_tensor else ''}{number and f' ({number[1:]})'}"
    return name
