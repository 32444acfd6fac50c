"""Where a run computes."""

from __future__ import annotations

import pytest

from optlab.core.errors import InvalidInput
from optlab.objective import device


def machine(monkeypatch: pytest.MonkeyPatch, *names: str) -> None:
    monkeypatch.setattr(device, "available", lambda: ["cpu", *names])


def test_that_the_cpu_is_always_available() -> None:
    assert device.available()[0] == "cpu"
    assert device.describe("cpu").startswith("CPU, ")


def test_that_auto_takes_a_gpu_only_where_there_is_enough_to_compute(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch, "cuda")
    assert device.resolve("auto", device.GPU_WORTHWHILE - 1, "float32") == "cpu"
    assert device.resolve("auto", device.GPU_WORTHWHILE, "float32") == "cuda"
    machine(monkeypatch)
    assert device.resolve("auto", 10**12, "float32") == "cpu"


def test_that_auto_leaves_double_precision_to_devices_that_have_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch, "mps")
    assert device.resolve("auto", 10**12, "float32") == "mps"
    assert device.resolve("auto", 10**12, "float64") == "cpu"
    with pytest.raises(InvalidInput, match="the device mps computes in float32 only") as refusal:
        device.resolve("mps", 1, "float64")
    assert refusal.value.field == "precision"


def test_that_an_unavailable_device_is_refused_with_a_list_of_the_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    machine(monkeypatch)
    with pytest.raises(
        InvalidInput,
        match="device is 'cuda', but this machine has: cpu; use one of them, or auto",
    ) as refusal:
        device.resolve("cuda", 1, "float32")
    assert refusal.value.field == "device"
