"""The .deb in a bare Debian: installed, used, upgraded, removed by somebody who has no Python.

The tests tell one story and build on each other; run them whole (``make test-package``).
"""

from __future__ import annotations

import csv
import json
import os
import re
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from bare import USER, Bare, Screen, waited
from conftest import BUILD, DIST, ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]
HOME = f"home/{USER}"
DATA = f"{HOME}/.local/share/optlab"
MEGABYTE = 1e6
memory: dict[str, Any] = {}
"""What earlier steps of the story leave for later ones."""


def answer(bare: Bare, *words: str, **options: Any) -> Any:
    """The JSON document that a command prints; it must end well and say nothing else."""
    done = bare.person("optlab", *words, "--json", **options)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stderr == ""
    return json.loads(done.stdout)


def picture(path: Path) -> tuple[int, int, int]:
    """Width, height and number of colors of a picture."""
    code = (
        "import sys; from PySide6.QtGui import QImage; image = QImage(sys.argv[1]); "
        "print(image.width(), image.height(), len({image.pixel(x, y) for x in range(0, "
        "image.width(), 4) for y in range(0, image.height(), 4)}))"
    )
    reported = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, check=True
    )
    width, height, colors = (int(word) for word in reported.stdout.split())
    return width, height, colors


def trial(bare: Bare, screen: Screen, name: str, **environment: str) -> Path:
    """The window's own trial; its picture, copied to ``dist``."""
    done = bare.person("optlab", "--smoke", f"/tmp/{name}.png", screen=screen, **environment)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert re.search(r"run \S+ is stored, finished after 2000 steps", done.stdout), done.stdout
    taken = DIST / f"{name}.png"
    taken.write_bytes((bare.root / "tmp" / f"{name}.png").read_bytes())
    return taken


def runs(bare: Bare) -> list[dict[str, Any]]:
    reported = answer(bare, "runs")
    return list(reported["runs"] if isinstance(reported, dict) else reported)


# --- installed ------------------------------------------------------------------------------------------------------------------


def test_that_apt_installs_an_earlier_version_and_a_run_is_made(bare: Bare, earlier: Path) -> None:
    bare.command("apt-get", "update", "-qq")
    memory["before"] = bare.files()
    bare.command(
        "apt-get",
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        bare.put(earlier, f"/tmp/{earlier.name}"),
    )
    assert "python3" not in bare.command("dpkg-query", "-W", "-f", "${Package}\n").stdout.split()
    memory["run"] = answer(bare, "run", "digits-mlp", "--steps", "100")
    assert memory["run"]["status"] == "finished"


def test_that_an_upgrade_keeps_the_runs(bare: Bare, package: Path) -> None:
    bare.command(
        "apt-get",
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        bare.put(package, f"/tmp/{package.name}"),
    )
    version = bare.command("dpkg-query", "-W", "-f", "${Version}", "optlab").stdout
    assert version == package.name.split("_")[1] != "0.0.1"
    assert bare.person("optlab", "--version").stdout == f"optlab {version}\n"
    (kept,) = runs(bare)
    assert memory["run"]["run"] in kept.values()
    assert (
        answer(bare, "run", "digits-mlp", "--steps", "100")["theta_sha256"]
        == memory["run"]["theta_sha256"]
    )


def test_that_sizes_are_within_their_bounds(bare: Bare, package: Path) -> None:
    installed = (
        int(bare.command("dpkg-query", "-W", "-f", "${Installed-Size}", "optlab").stdout) / 1024
    )
    print(f"\n.deb {package.stat().st_size / MEGABYTE:.0f} MB, installed {installed:.0f} MiB")
    # SciPy, by which studies decide, and its own linear algebra are 70 MB of it.
    assert package.stat().st_size <= 190 * MEGABYTE
    assert installed <= 635


def test_that_every_library_is_there(bare: Bare) -> None:
    find = 'find /usr/lib/optlab -name "*.so*" -type f -exec ldd {} + 2>/dev/null'
    reported = bare.command(
        "/bin/sh", "-c", f"LD_LIBRARY_PATH=/usr/lib/optlab/_internal {find}", check=False
    ).stdout
    missing = set(re.findall(r"^\s*(\S+) => not found", reported, re.MULTILINE))
    # Those beside a library of a wheel are found by the RPATH of the module that loads both.
    missing -= {path.name for path in (bare.root / "usr/lib/optlab").rglob("*.libs/*")}
    # Wayland's own come with every Wayland desktop, and are recommended.
    assert {name for name in missing if not name.startswith("libwayland")} == set()
    assert "libtorch_cpu.so =>" in reported


# --- used -----------------------------------------------------------------------------------------------------------------------


def test_that_the_window_trains_on_a_screen(bare: Bare, screen: Screen) -> None:
    width, height, colors = picture(trial(bare, screen, "bare-system"))
    assert width >= 1000
    assert height >= 700
    assert colors >= 30
    assert {run["status"] for run in runs(bare)} == {"finished"}


def test_that_the_window_is_twice_as_fine_on_a_screen_of_200_percent(
    bare: Bare, screen: Screen
) -> None:
    once, twice = (
        picture(DIST / "bare-system.png"),
        picture(trial(bare, screen, "bare-system-200", QT_SCALE_FACTOR="2")),
    )
    assert twice[0] >= 1.3 * once[0]


def test_that_the_doctor_finds_training_to_work(bare: Bare, screen: Screen) -> None:
    done = bare.person("optlab", "doctor", screen=screen)
    assert done.returncode == 0, done.stdout
    assert "Training works. Problems: 0." in done.stdout
    for part in ("torch", "display", "data folder", "GiB free", "presets in /usr/lib/optlab"):
        assert part in done.stdout


def test_that_a_worker_process_gives_the_numbers_of_a_thread(bare: Bare) -> None:
    process, thread = (
        answer(bare, "run", "digits-mlp", "--steps", "200", "--runner", runner)
        for runner in ("process", "thread")
    )
    assert (process["runner"], thread["runner"]) == ("process", "thread")
    assert process["theta_sha256"] == thread["theta_sha256"]


def test_that_every_preset_takes_its_first_steps(bare: Bare) -> None:
    presets = sorted(path.stem for path in (ROOT / "resources" / "presets").glob("*.toml"))

    def first_steps(name: str) -> str:
        done = bare.person("optlab", "run", name, "--steps", "2", "--no-store", "--json")
        document = json.loads(done.stdout)
        return (
            ""
            if document.get("steps", 0) >= 1
            else f"{name}: {document.get('error') or document.get('reason')}"
        )

    with ThreadPoolExecutor(2) as pool:
        assert [problem for problem in pool.map(first_steps, presets) if problem] == []


def test_that_every_optimizer_that_suits_a_network_takes_a_step(bare: Bare) -> None:
    reported = answer(bare, "list", "optimizers")
    names = [
        each["name"]
        for each in (reported["optimizers"] if isinstance(reported, dict) else reported)
    ]
    assert len(names) >= 25

    def step(name: str) -> str:
        done = bare.person(
            "optlab",
            "run",
            "iris-softmax",
            "--set",
            f"optimizer.name={name}",
            "--steps",
            "1",
            "--no-store",
            "--json",
        )
        document = json.loads(done.stdout)
        # it says that it wants another experiment: that is no gap of the package
        refused = done.returncode == 2 and document.get("field")
        return (
            ""
            if document.get("steps", 0) >= 1 or refused
            else f"{name}: {document.get('error') or document.get('reason')}"
        )

    with ThreadPoolExecutor(2) as pool:
        assert [problem for problem in pool.map(step, names) if problem] == []


def test_that_own_data_comes_in_and_a_run_goes_out(bare: Bare) -> None:
    table = bare.root / HOME / "flowers.csv"
    rows = [
        f"{i % 7 + 0.5},{i % 5 - 0.25},{'red' if i % 7 > i % 5 else 'blue'}" for i in range(200)
    ]
    table.write_text("width,height,color\n" + "\n".join(rows) + "\n")
    asked = '[dataset]\nname = "csv_file"\npath = "flowers.csv"\n[model]\nname = "mlp"\n[budget]\nsteps = 50\n'
    (bare.root / HOME / "flowers.optlab.toml").write_text(asked)
    run = answer(bare, "run", "flowers.optlab.toml")
    assert run["status"] == "finished"
    done = bare.person("optlab", "export", run["run"], "--format", "csv", "--to", "run.csv")
    assert done.returncode == 0, done.stderr
    with (bare.root / HOME / "run.csv").open(newline="") as file:
        rows_out = [row for row in csv.reader(file) if row and not row[0].startswith("#")]
    assert rows_out[0][0] == "step"
    assert len(rows_out) >= 51


def repeated(bare: Bare, script: str, folder: Path, *beside: str) -> dict[str, float]:
    """What a script from the bare system prints at its end, where there is torch and no OptLab."""
    python = BUILD / "environment" / "bin" / "python"
    for name in (script, *beside):
        (folder / name).write_bytes((bare.root / HOME / name).read_bytes())
    assert subprocess.run([str(python), "-I", "-c", "import optlab"], check=False).returncode == 1
    done = subprocess.run(
        [str(python), script], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    final = done.stdout.partition("\nfinal\n")[2].splitlines()
    return {name: float(value) for name, _, value in (line.partition(": ") for line in final)}


def test_that_a_run_becomes_a_program_that_repeats_it(bare: Bare, tmp_path: Path) -> None:
    run = memory["run"]
    for format_, name in (("python", "again.py"), ("notebook", "cells.ipynb")):
        done = bare.person("optlab", "export", run["run"], "--format", format_, "--to", name)
        assert done.returncode == 0, done.stderr
        assert "It was run once" in done.stdout + done.stderr
    assert json.loads((bare.root / HOME / "cells.ipynb").read_text())["nbformat"] == 4
    final = repeated(bare, "again.py", tmp_path, "again.npz")
    for name in ("train_loss", "validation_loss", "test_loss"):
        assert final[name] == pytest.approx(run["final"][name], rel=1e-6, abs=1e-6)


OWN = """
import torch


class Signs(torch.optim.Optimizer):
    def __init__(self, params, lr=0.01):
        super().__init__(params, dict(lr=lr))

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(p.grad.sign(), alpha=group["lr"])


class Net(torch.nn.Module):
    def __init__(self, inputs, outputs):
        super().__init__()
        self.last = torch.nn.Linear(inputs, outputs)

    def forward(self, x):
        return self.last(torch.nn.functional.dropout(x.flatten(1), 0.1, self.training))
"""


def test_that_own_code_trains_and_becomes_a_program(bare: Bare, tmp_path: Path) -> None:
    (bare.root / HOME / "mine.py").write_text(OWN)
    for kind, cls in (("optimizer", "Signs"), ("model", "Net")):
        done = bare.person("optlab", kind, "register", f"mine.py:{cls}", "--name", "mine", "--yes")
        assert done.returncode == 0, done.stderr
    own = ("--set", "optimizer.name=own.mine", "--set", "model.name=own.mine")
    run = answer(bare, "run", "digits-mlp", "--steps", "50", *own)
    assert run["status"] == "finished"
    (bare.root / HOME / "scripts").mkdir()
    os.chown(bare.root / HOME / "scripts", *bare.owner())
    done = bare.person(
        "optlab", "export", run["run"], "--format", "python", "--to", "scripts/own.py"
    )
    assert done.returncode == 0 and "It was run once" in done.stdout + done.stderr, done.stderr
    (tmp_path / "scripts").mkdir()
    beside = (f"scripts/{name}" for name in ("own.npz", "mine.py"))
    final = repeated(bare, "scripts/own.py", tmp_path, *beside)
    assert final["train_loss"] == pytest.approx(run["final"]["train_loss"], rel=1e-6, abs=1e-6)


def test_that_the_weights_and_the_events_of_a_run_go_out(bare: Bare) -> None:
    for format_, name in (("safetensors", "run.safetensors"), ("tensorboard", "board")):
        done = bare.person(
            "optlab", "export", memory["run"]["run"], "--format", format_, "--to", name
        )
        assert done.returncode == 0, done.stderr
    assert (bare.root / HOME / "run.safetensors").stat().st_size > 10_000
    events = [path for path in (bare.root / HOME / "board").rglob("events*") if path.is_file()]
    assert len(events) == 1 and events[0].stat().st_size > 10_000


def test_that_everything_that_can_be_picked_is_in_the_package(bare: Bare) -> None:
    shown = {(each["kind"], each["name"]) for each in answer(bare, "show", "--all")}
    source = subprocess.run(
        [sys.executable, "-m", "optlab", "show", "--all", "--json"],
        cwd=ROOT,
        env={**os.environ, "OPTLAB_HOME": str(BUILD / "bare" / "no-runs")},
        capture_output=True,
        text=True,
        check=True,
    )
    known = {(each["kind"], each["name"]) for each in json.loads(source.stdout)}
    assert len(known) > 150
    assert {each for each in shown if not each[1].startswith("own.")} == known
    done = bare.person("optlab", "list")
    assert done.returncode == 0 and "optimizers" in done.stdout


def test_that_a_folder_of_foreign_runs_opens(bare: Bare, screen: Screen) -> None:
    folder = bare.root / HOME / "foreign"
    for number in range(3):
        (folder / f"run{number}").mkdir(parents=True)
        rows = [{"step": step, "loss": 1.0 / (step + 1 + number)} for step in range(40)]
        text = "\n".join(map(json.dumps, rows))
        (folder / f"run{number}" / "metrics.jsonl").write_text(f"{text}\n")
    reported = answer(bare, "foreign")
    assert len(reported["runs"] if isinstance(reported, dict) else reported) == 3
    assert_window_opens_and_ends(bare, screen, "foreign")


def test_that_what_the_package_leaves_out_is_said_in_a_sentence(bare: Bare) -> None:
    done = bare.person(
        "optlab", "export", memory["run"]["run"], "--format", "parquet", "--to", "run.parquet"
    )
    assert done.returncode == 1
    assert done.stderr.startswith(
        "Parquet files need pyarrow, which the packaged OptLab leaves out; export as csv"
    )
    (bare.root / HOME / "table.parquet").write_bytes(b"PAR1" + bytes(range(128)))
    for command in ("import", "run"):
        done = bare.person("optlab", command, "table.parquet")
        assert done.returncode == 2 and "save it as CSV in UTF-8" in done.stderr


def test_that_a_decimal_comma_changes_nothing(bare: Bare, screen: Screen) -> None:
    bare.command("apt-get", "install", "-y", "-qq", "--no-install-recommends", "locales")
    bare.command("localedef", "-i", "de_DE", "-f", "UTF-8", "de_DE.UTF-8")
    german = {"LANG": "de_DE.UTF-8", "LC_ALL": "de_DE.UTF-8"}
    assert (
        answer(bare, "run", "digits-mlp", "--steps", "100", **german)["theta_sha256"]
        == memory["run"]["theta_sha256"]
    )
    trial(bare, screen, "bare-system-german", **german)
    assert "decimal point" in bare.person("optlab", "doctor", **german).stdout


# --- a guest --------------------------------------------------------------------------------------------------------------------


def test_that_without_a_display_it_says_so_in_a_sentence(bare: Bare) -> None:
    done = bare.person("optlab")
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.startswith("There is no display to open a window on")
    assert done.stderr.count("\n") == 1
    gone = bare.person("optlab", DISPLAY=":97")
    assert gone.returncode == 2
    assert gone.stderr.startswith("The display ':97' named by DISPLAY does not answer")


def test_that_a_home_that_cannot_be_written_to_is_no_end(bare: Bare, screen: Screen) -> None:
    done = bare.person("optlab", "run", "digits-mlp", "--steps", "20", HOME="/nonexistent")
    assert (done.returncode, done.stdout.count("\n")) == (1, 0), done.stdout
    assert done.stderr.startswith(
        "The data folder /nonexistent/.local/share/optlab cannot be created"
    )
    assert (
        answer(bare, "run", "digits-mlp", "--steps", "20", "--no-store", HOME="/nonexistent")[
            "status"
        ]
        == "finished"
    )
    assert_window_opens_and_ends(bare, screen, HOME="/nonexistent")


def test_that_a_file_opens_in_the_window_and_belongs_to_the_program(
    bare: Bare, screen: Screen
) -> None:
    file = bare.root / HOME / "mine.optlab.toml"
    file.write_text((ROOT / "resources" / "presets" / "iris-softmax.toml").read_text())
    assert_window_opens_and_ends(bare, screen, "mine.optlab.toml")
    bare.command(
        "apt-get",
        "install",
        "-y",
        "-qq",
        "--no-install-recommends",
        "shared-mime-info",
        "desktop-file-utils",
        "libglib2.0-bin",
    )
    kind = "application/x-optlab-experiment+toml"
    assert (
        f"standard::content-type: {kind}"
        in bare.person("gio", "info", "-a", "standard::content-type", "mine.optlab.toml").stdout
    )
    assert "optlab.desktop" in bare.person("gio", "mime", kind).stdout


def assert_window_opens_and_ends(
    bare: Bare, screen: Screen, *words: str, **environment: str
) -> None:
    process = bare.start("optlab", *words, screen=screen, **environment)
    try:
        assert waited(
            lambda: (
                any("OptLab" in title for title in screen.titles()) or process.poll() is not None
            )
        )
        assert process.poll() is None, process.communicate()
        os.kill(process.pid, signal.SIGTERM)
        output, errors = process.communicate(timeout=60)
    finally:
        if process.poll() is None:
            process.kill()
            process.communicate()
    # The system's font library says so itself where it may not keep its cache.
    said = [
        line
        for line in errors.splitlines()
        if not line.startswith("Fontconfig error: No writable cache")
    ]
    assert (process.returncode, output, said) == (0, "", [])
    assert waited(lambda: not screen.titles())


def test_that_it_talks_to_nobody(bare: Bare, screen: Screen) -> None:
    """Of the network's system calls it makes only those of a socket's two ends within the machine:
    to the screen, and between its own processes.
    """
    trace = BUILD / "bare" / "network.trace"
    watched = ["strace", "-f", "-qq", "-e", "trace=network", "-o", str(trace)]
    done = bare.person("optlab", "--smoke", "/tmp/watched.png", screen=screen, before=watched)
    assert done.returncode == 0, done.stderr
    calls = trace.read_text(errors="replace")
    assert "connect(" in calls, "strace saw nothing"
    families = set(re.findall(r"(?:socket|socketpair)\((\w+)", calls))
    assert families <= {"AF_UNIX"}, families
    assert not re.search(r"\blisten\(|AF_INET", calls)


def test_that_it_writes_only_into_the_users_own_folders(bare: Bare) -> None:
    before, after = memory["before"], bare.files()
    owned = set(bare.command("/bin/sh", "-c", "cat /var/lib/dpkg/info/*.list").stdout.splitlines())
    ours = [
        name
        for name in after
        if name not in before
        and os.lstat(bare.root / name).st_uid == bare.root.joinpath(HOME).stat().st_uid
    ]
    assert ours, "the runs must be somewhere"
    assert [
        name
        for name in ours
        if f"/{name}" not in owned
        and not name.startswith((f"{HOME}/", "tmp/bare-system", "tmp/watched"))
    ] == []
    hidden = {name.split("/")[2] for name in ours if name.startswith(f"{HOME}/.")}
    assert hidden <= {".local", ".cache", ".config"}
    assert [name for name in ours if re.search(r"(^|/)core(\.\d+)?$", name)] == []


def test_that_nothing_in_it_names_the_machine_that_built_it(bare: Bare) -> None:
    words = [str(ROOT).encode(), str(BUILD).encode()]
    for path in (bare.root / "usr" / "lib" / "optlab").rglob("*"):
        if path.is_file() and not path.is_symlink():
            content = path.read_bytes()
            assert not any(word in content for word in words), path
    code = (
        "import sys; from PyInstaller.archive.readers import CArchiveReader\n"
        "archive = CArchiveReader(sys.argv[1]); modules = archive.open_embedded_archive('PYZ.pyz')\n"
        "def names(code): return [code.co_filename, *(name for each in code.co_consts if "
        "hasattr(each, 'co_filename') for name in names(each))]\n"
        "found = [modules.extract(name) for name in modules.toc]\n"
        "print(*sorted({name for each in found if hasattr(each, 'co_filename') for name in "
        "names(each) if name.startswith('/')}), sep='\\n')"
    )
    python = BUILD / "environment" / "bin" / "python"
    reported = subprocess.run(
        [str(python), "-c", code, str(bare.root / "usr/lib/optlab/optlab")],
        capture_output=True,
        text=True,
        check=True,
    )
    assert reported.stdout.strip() == ""


# --- removed --------------------------------------------------------------------------------------------------------------------


def test_that_removal_leaves_only_the_users_data(bare: Bare) -> None:
    kept = runs(bare)
    bare.command("apt-get", "purge", "-y", "-qq", "optlab")
    left = [
        name
        for name in bare.files()
        if "optlab" in name.lower() and not name.startswith((DATA, f"{HOME}/", "tmp/"))
    ]
    assert left == []
    assert (bare.root / DATA).is_dir()
    assert bare.person("sh", "-c", "command -v optlab").returncode != 0
    memory["kept"] = kept


def test_that_the_tarball_finds_the_same_runs_and_goes_without_a_trace(bare: Bare) -> None:
    (archive,) = DIST.glob("optlab-*-linux-*.tar.xz")
    subprocess.run(["tar", "-xf", str(archive), "-C", str(bare.root / "opt")], check=True)
    (folder,) = (bare.root / "opt").glob("optlab-*")
    script = f"/opt/{folder.name}/install.sh"
    before = bare.files()
    done = bare.person(script)
    assert (done.returncode, done.stderr) == (0, "")
    assert "still needs" not in done.stdout
    assert runs(bare) == memory["kept"]
    entry = (bare.root / HOME / ".local/share/applications/optlab.desktop").read_text()
    assert f'Exec="/{HOME}/.local/bin/optlab" %f' in entry
    done = bare.person(script, "--uninstall")
    assert (done.returncode, done.stderr) == (0, "")
    added = [name for name in bare.files() if name not in before and not name.startswith(DATA)]
    assert [
        name
        for name in added
        if not name.endswith(("mimeinfo.cache", "icon-theme.cache")) and "/mime/" not in name
    ] == []
