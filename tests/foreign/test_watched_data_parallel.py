"""Two processes train one model: the first one watches, and sees averaged gradients."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from optlab.outside.foreign_runs.watched import find_runs, open_run

pytestmark = pytest.mark.foreign

PROGRAM = """
import sys
import torch, optlab
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

folder, store, rank = sys.argv[1], sys.argv[2], int(sys.argv[3])
dist.init_process_group("gloo", init_method=f"file://{store}", rank=rank, world_size=2)
torch.manual_seed(0)
model = DistributedDataParallel(torch.nn.Sequential(torch.nn.Linear(6, 8), torch.nn.Tanh(), torch.nn.Linear(8, 1)))
optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
if folder:
    w = optlab.watch(model, optimizer, folder=folder, every=1)
    w.probe(lambda: model(torch.ones(2, 6)).square().mean(), every=2)
torch.manual_seed(10 + rank)
norms = []
for _ in range(5):
    optimizer.zero_grad()
    model(torch.randn(4, 6)).square().mean().backward()
    norms.append(float(torch.nn.utils.clip_grad_norm_(model.parameters(), 0.01)))
    optimizer.step()
if folder:
    w.detach()
dist.destroy_process_group()
print(norms, [p.tolist() for p in model.parameters()])
"""


def run(folder: str, store: Path) -> list[tuple[str, str]]:
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", PROGRAM, folder, str(store), str(rank)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    ended = [process.communicate(timeout=100) for process in processes]
    assert all(process.returncode == 0 for process in processes), ended
    return ended


def test_that_the_first_of_two_processes_sees_averaged_gradients(tmp_path: Path) -> None:
    alone = run("", tmp_path / "store-1")
    watched = run(str(tmp_path / "runs"), tmp_path / "store-2")
    assert [out for out, _ in watched] == [out for out, _ in alone]
    (folder,) = find_runs(tmp_path / "runs")
    recorded = open_run(folder)
    recorded.read()
    (norms,) = recorded.series["gradient_norm"]
    expected = json.loads(watched[0][0].split("] [")[0] + "]")
    assert norms.values[:, 0].tolist() == pytest.approx(expected, rel=1e-5)
    assert set(recorded.series["gradient_norm_by_tensor"][0].columns) == {
        *("0.weight", "0.bias", "2.weight", "2.bias")
    }
    assert "probe" in watched[0][1] and "would wait for each other" in watched[0][1]
