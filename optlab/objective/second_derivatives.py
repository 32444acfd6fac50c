"""Second derivatives by autograd: fused kernels that have none, and operations without any.

Attention is computed by fused kernels whose backward pass cannot be differentiated again. Where a
graph is built to be differentiated twice, torch uses the kernel that is made of plain operations. Training keeps the fused one.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from optlab.core.errors import RunFailed
from optlab.core.lazy import torch


@contextmanager
def double_backward() -> Iterator[None]:
    """Build graphs inside that can be differentiated twice, whatever attention they hold."""
    from torch.nn.attention import SDPBackend, sdpa_kernel

    with sdpa_kernel(SDPBackend.MATH):
        yield


@contextmanager
def explained_failure(name: str) -> Iterator[None]:
    """Say in one sentence that an operation has no second derivative.

    Args:
        name: of the model; "" for a function that is no model.

    Raises:
        RunFailed: autograd refused to differentiate what is computed inside. Where memory ran out
            torch's error is left as it is.
    """
    try:
        yield
    except RuntimeError as error:
        if isinstance(error, torch.OutOfMemoryError) or "memory" in str(error):
            raise
        what = " ".join(str(error).split()).rstrip(".")
        where = f"model.name is '{name}': its" if name else "The function's"
        raise RunFailed(
            f"{where} second derivatives cannot be computed ({type(error).__name__}: {what[:300]}); "
            "use what needs gradients only, or write the operation without a second derivative in "
            "plain ones."
        ) from error
