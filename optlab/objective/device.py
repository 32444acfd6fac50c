"""The device that a run computes on: CPU, an NVIDIA or AMD GPU (cuda), or an Apple GPU (mps)."""

from __future__ import annotations

from collections.abc import Sequence

from optlab.core.errors import InvalidInput
from optlab.core.lazy import torch

GPU_WORTHWHILE = 2_000_000
"""Multiply-adds in a step's forward pass from which ``auto`` prefers a GPU.

Below it, launching kernels takes longer than the CPU's arithmetic (some 10 µs a kernel against some
10 multiply-adds a nanosecond).
"""


def available() -> list[str]:
    """Return the devices of this machine, the CPU first."""
    devices = ["cpu"]
    if torch.cuda.is_available():
        devices.append("cuda")
    if torch.backends.mps.is_available():
        devices.append("mps")
    return devices


def describe(device: str) -> str:
    """Return the display name of a device."""
    if device == "cuda":
        return str(torch.cuda.get_device_name(0))
    if device == "mps":
        return "Apple GPU (Metal)"
    threads = torch.get_num_threads()
    return f"CPU, {threads} thread" + ("" if threads == 1 else "s")


def resolve(requested: str, work: int, precision: str) -> str:
    """Return the device to use.

    Args:
        requested: ``auto`` or the name of a device.
        work: multiply-adds of one step's forward pass, all runs together (about R × P × m).
        precision: ``float32`` or ``float64``; mps has no float64.

    Raises:
        InvalidInput: the requested device is not available, or cannot compute in this precision.
    """
    devices = available()
    if requested == "auto":
        gpus = [
            name
            for name in devices
            if name != "cpu" and not (name == "mps" and precision == "float64")
        ]
        return gpus[0] if gpus and work >= GPU_WORTHWHILE else "cpu"
    if requested not in devices:
        raise InvalidInput(
            f"device is '{requested}', but this machine has: {', '.join(devices)}; use one of "
            "them, or auto.",
            "device",
        )
    if requested == "mps" and precision == "float64":
        raise InvalidInput(
            "precision is 'float64', but the device mps computes in float32 only; use float32, or "
            "device cpu.",
            "precision",
        )
    return requested


def uploaded(values: Sequence[float], like: torch.Tensor) -> torch.Tensor:
    """Return numbers ``[n]`` in device and precision as ``like``, without waiting for the device.

    Torch itself waits for all that the device has yet to compute.
    """
    # The driver copies what is pageable before the call returns. That of Metal does not.
    return torch.tensor(values, dtype=like.dtype).to(
        like.device, non_blocking=like.device.type != "mps"
    )
