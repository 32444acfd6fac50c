"""Compiled loops: the bits of torch's operations, and clear words where nothing can be compiled."""

from __future__ import annotations

import itertools
import subprocess
import sys
import threading
from array import array
from pathlib import Path

import numpy as np
import pytest
import torch

from optlab.numerics.compiled import compiler as compilers
from optlab.numerics.compiled.compiler import NotCompiled, compiled, compiler
from optlab.numerics.compiled.loop import OPERATIONS, Array, Loop, Number
from tests.slow_compiler import SlowCompiler

SPECIAL = (0.0, -0.0, 1.0, -1.0, float("inf"), -float("inf"), float("nan"), 1e-40, -3e-310, 1e38)
TYPES = (torch.float32, torch.float64)


def values(dtype: torch.dtype) -> tuple[torch.Tensor, torch.Tensor]:
    """Return two arrays ``[n]`` with all pairs of special values, and with usual ones of all sizes."""
    generator = torch.Generator().manual_seed(3)
    pairs = torch.tensor(list(itertools.product(SPECIAL, SPECIAL)), dtype=torch.float64)
    usual = torch.randn(1001, 2, dtype=torch.float64, generator=generator)
    usual *= 10.0 ** torch.randint(-30, 30, usual.shape, generator=generator)
    both = torch.cat([pairs, usual]).to(dtype)
    return both[:, 0].contiguous(), both[:, 1].contiguous()


def execute(
    loop: Loop, rows: list[list[torch.Tensor]], numbers: tuple[float, ...] = (0.0,)
) -> None:
    """Execute a loop on the rows of each of its arrays; the first one has their lengths."""
    dtype = rows[0][0].dtype
    lengths = array("q", [one.numel() for one in rows[0]])
    table = array("Q", [one.data_ptr() for array_ in rows for one in array_])
    given = array("f" if dtype == torch.float32 else "d", numbers)
    loop.compiled(dtype)(len(rows[0]), *(one.buffer_info()[0] for one in (lengths, table, given)))


def same_bits(one: torch.Tensor, other: torch.Tensor) -> bool:
    kind = torch.int32 if one.dtype == torch.float32 else torch.int64
    nan = one.isnan() & other.isnan()
    return bool(((one.view(kind) == other.view(kind)) | nan).all())


@pytest.mark.parametrize("dtype", TYPES, ids=str)
@pytest.mark.parametrize("name", sorted(OPERATIONS - {"sqrt"}))
def test_that_each_operation_has_the_bits_of_torch(name: str, dtype: torch.dtype) -> None:
    x, y = values(dtype)
    alone = name in ("neg", "sign")
    result = torch.empty_like(x)
    execute(
        Loop(3, ((name, (Array(0),) if alone else (Array(0), Array(1))),), ((2, 0),)),
        [[x], [y], [result]],
    )
    assert same_bits(result, getattr(torch, name)(*((x,) if alone else (x, y))))
    if not alone:
        for number in (0.3712, -0.0, 1e-45, float("inf")):
            execute(
                Loop(2, ((name, (Array(0), Number(1))),), ((1, 0),)), [[x], [result]], (7.0, number)
            )
            assert same_bits(result, getattr(torch, name)(x, torch.tensor(number, dtype=dtype)))


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_that_square_roots_are_the_nearest_numbers(dtype: torch.dtype) -> None:
    x = values(dtype)[0].abs()
    result = torch.empty_like(x)
    execute(Loop(2, (("sqrt", (Array(0),)),), ((1, 0),)), [[x], [result]])
    exact = torch.from_numpy(np.sqrt(x.numpy()))
    assert same_bits(result, exact)


@pytest.mark.parametrize("dtype", TYPES, ids=str)
def test_that_no_product_is_fused_with_a_sum(dtype: torch.dtype) -> None:
    x, y = values(dtype)
    result = torch.empty_like(x)
    loop = Loop(3, (("mul", (Array(0), Array(1))), ("sub", (0, Array(0)))), ((2, 1),))
    execute(loop, [[x], [y], [result]])
    assert same_bits(result, x * y - x)


def test_that_rows_have_their_own_places_and_lengths() -> None:
    x = [torch.arange(float(n)) for n in (5, 1, 0, 9)]
    by = [torch.full((n,), 2.0 + row) for row, n in enumerate((5, 1, 0, 9))]
    execute(Loop(2, (("mul", (Array(0), Array(1))),), ((0, 0),)), [x, by])
    for row, (one, length) in enumerate(zip(x, (5, 1, 0, 9), strict=True)):
        assert one.tolist() == [(2.0 + row) * i for i in range(length)]


def test_that_all_elements_are_read_before_one_is_written() -> None:
    x, y = torch.arange(40.0), torch.arange(40.0) + 100.0
    execute(Loop(2, (), ((0, Array(1)), (1, Array(0)))), [[x], [y]])
    assert x.tolist() == [100.0 + i for i in range(40)] and y.tolist() == list(range(40))


def test_that_a_machine_without_compiler_says_what_to_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(NotCompiled, match="install GCC or Clang, or name one in the variable CXX"):
        compiler()
    monkeypatch.setenv("CXX", "no-such-compiler -m64")
    with pytest.raises(NotCompiled, match="CXX names no-such-compiler, which is not an exec"):
        compiler()


def test_that_a_failing_compiler_is_quoted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(NotCompiled, match=r"does not compile a loop: .*error"):
        compiled("no C++", "loop", [])
    silent = tmp_path / "silent"
    silent.write_text("#!/bin/sh\nexit 3\n")
    silent.chmod(0o755)
    monkeypatch.setenv("CXX", str(silent))
    with pytest.raises(NotCompiled, match="does not compile a loop: exit code 3"):
        compiled("void one();", "loop", [])
    silent.write_text("#!/bin/sh\nexit 0\n")  # it says that it has, and has not
    with pytest.raises(NotCompiled, match="A compiled loop cannot be used"):
        compiled("void two();", "loop", [])


def test_that_a_source_is_compiled_once_and_leaves_no_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    loop = Loop(2, (("mul", (Array(0), Number(3))), ("neg", (0,))), ((1, 1),))
    loop.compiled(torch.float32)
    assert not list(tmp_path.iterdir())
    monkeypatch.setattr(compilers, "_failure", None)  # not asked again
    loop.compiled(torch.float32)


def test_that_the_compiler_of_the_system_does_not_get_the_libraries_of_a_packed_program(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.frozen", True, raising=False)
    monkeypatch.setenv("LD_LIBRARY_PATH", "/packed")
    monkeypatch.setenv("LD_LIBRARY_PATH_ORIG", "/before")
    shows = tmp_path / "shows"
    shows.write_text('#!/bin/sh\necho "error: $LD_LIBRARY_PATH" >&2\nexit 1\n')
    shows.chmod(0o755)
    monkeypatch.setenv("CXX", str(shows))
    with pytest.raises(NotCompiled, match=r"error: /before\.?$"):
        compiled("void three();", "loop", [])
    monkeypatch.delenv("LD_LIBRARY_PATH_ORIG")
    with pytest.raises(NotCompiled, match=r"error:$"):
        compiled("void four();", "loop", [])


@pytest.fixture
def slow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> SlowCompiler:
    made = SlowCompiler(tmp_path)
    monkeypatch.setenv("CXX", made.command)
    (tmp_path / "temporary").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "temporary"))
    monkeypatch.setattr("tempfile.tempdir", None)
    return made


def test_that_a_compiler_can_be_ended_and_leaves_nothing(
    slow: SlowCompiler, tmp_path: Path
) -> None:
    failures: list[str] = []

    def compile_it() -> None:
        with pytest.raises(NotCompiled) as found:
            compiled('extern "C" void four() {}', "four", [])
        failures.append(str(found.value))

    thread = threading.Thread(target=compile_it)
    thread.start()
    slow.wait()
    compilers.end_compilers()
    thread.join()
    assert failures == [f"{slow.command} was ended by signal 9."]
    assert slow.begun == 1  # it is not asked again, without an option
    assert not slow.running()
    assert not list((tmp_path / "temporary").iterdir())


def test_that_two_threads_have_a_source_compiled_once(slow: SlowCompiler) -> None:
    made: list[object] = []

    def compile_it() -> None:
        made.append(compiled('extern "C" void five() {}', "five", []))

    threads = [threading.Thread(target=compile_it) for _ in range(2)]
    for thread in threads:
        thread.start()
    slow.wait()
    slow.go_on()
    for thread in threads:
        thread.join()
    assert len(made) == 2 and slow.begun == 1


FORKS = """
import os, sys, threading
from pathlib import Path
from optlab.numerics.compiled.compiler import compiled
from tests.slow_compiler import SlowCompiler

slow = SlowCompiler(Path(sys.argv[1]))
os.environ["CXX"] = slow.command
source = 'extern "C" void six() {}'
thread = threading.Thread(target=compiled, args=(source, "six", []))
thread.start()
slow.wait()

def forked(ends):
    child = os.fork()
    if not child:
        ends()
        sys.exit(7)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 7

def compiles():
    # The thread that holds a lock on the source is not here.
    slow.go_on()
    compiled(source, "six", [])()

forked(lambda: None)  # it must leave the folder of the compiler where it is
forked(compiles)
thread.join()
begun = slow.begun
compiled(source, "six", [])()
assert slow.begun == begun
"""


def test_that_a_process_forked_while_a_source_is_compiled_disturbs_nothing(tmp_path: Path) -> None:
    # Newer versions of Python warn of any fork beside threads.
    command = [sys.executable, "-W", "ignore::DeprecationWarning", "-c", FORKS, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
