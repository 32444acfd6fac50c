"""Where a run computes: the processor, an NVIDIA or AMD GPU (cuda), or Apple's (mps)."""

from __future__ import annotations

from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch

GPU_WORTHWHILE = 2_000_000
"""Multiply-adds in a step's forward pass from which ``auto`` prefers a GPU: below, launching
kernels takes longer than the CPU's arithmetic (some 10 µs a kernel against some 10 multiply-adds a
nanosecond)."""


def available() -> list[str]:
    """Devices that can be chosen on this machine, the processor first."""
    found = ["cpu"]
    if torch.cuda.is_available():
        found.append("cuda")
    if torch.backends.mps.is_available():
        found.append("mps")
    return found


def describe(device: str) -> str:
    """The device's own name, for people."""
    if device == "cuda":
        return str(torch.cuda.get_device_name(0))
    if device == "mps":
        return "Apple GPU (Metal)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread" + ("" if threads == 1 else "s")


def resolve(asked: str, work: int, precision: str) -> str:
    """The device to use.

    Args:
        asked: ``auto`` or a device's name.
        work: multiply-adds of one step's forward pass, all runs together (about R × P × m).
        precision: ``float32`` or ``float64``; mps has no float64.

    Raises:
        InvalidInput: the device asked for is not there, or cannot compute in this precision.
    """
    here = available()
    if asked == "auto":
        gpus = [
            name
            for name in here
            if name != "cpu" and not (name == "mps" and precision == "float64")
        ]
        return gpus[0] if gpus and work >= GPU_WORTHWHILE else "cpu"
    if asked not in here:
        raise InvalidInput(
            f"device is '{asked}', but this machine offers: {', '.join(here)}; use one of them, or auto.",
            "device",
        )
    if asked == "mps" and precision == "float64":
        raise InvalidInput(
            "precision is 'float64', but the device mps computes in float32 only; use float32, or device cpu.",
            "precision",
        )
    return asked
