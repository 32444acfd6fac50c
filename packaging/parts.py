"""What of the installed libraries goes into the packaged program, and what stays out.

The organizing idea: PyInstaller follows import statements, and libraries import far more than
training needs (test suites, compilers for code that is written at run time, parts of Qt for other
kinds of programs). Each list below names what is left out for one reason; ``make test-package``
shows that the rest is whole.
"""

from __future__ import annotations

import fnmatch
import importlib.metadata
import importlib.util
import os
import re
from collections.abc import Iterable
from pathlib import Path

LEFT_OUT = (
    # 85 MB for Parquet files, which the program can also write as CSV (it reads none), and for
    # reading tables faster: a CSV of 27 MB (150,000 rows, 20 columns) takes 4.5 s of a core without
    # and 0.6 s with it, in a worker with progress and cancel, and less memory (178 and 229 MB)
    "pyarrow",
    # its data sets are read from its files, optlab/catalogue/datasets/_scikit.py
    "sklearn", "joblib", "narwhals",
    # other programs' interfaces that libraries can use where they are installed
    "IPython", "matplotlib", "tkinter", "_tkinter", "pandas", "PIL", "pytest", "_pytest", "hypothesis", "cupy", "jax", "jaxlib", "OpenGL", "h5py",
    "tensorboard", "PyQt5", "PyQt6", "PySide2", "jupyter_rfb", "lxml", "pkg_resources", "setuptools", "pip", "wheel", "cffi", "polars", "numba",
    # clusters, which only OptLab installed with pip reaches
    "dask", "distributed", "yaml", "cryptography",
    # what libraries need to test and to build themselves
    "doctest", "pydoc_data", "lib2to3", "ensurepip", "torch.utils.benchmark",
    "torch.utils.bottleneck", "torch.utils.model_dump", "readline", "chardet", "attr",
    # writing models for other programs, and compiling them: a compiler is nothing that a package
    # can bring along
    "torch.onnx._internal", "torch._inductor.codegen", "torch._inductor.fx_passes", "torch._inductor.kernel", "torch._inductor.compile_fx",
)  # fmt: skip
"""Modules that the program does without, though something imports or looks for them."""

QT_UNUSED = (
    "PySide6.QtQml", "PySide6.QtQuick", "PySide6.QtQuickWidgets", "PySide6.QtQuickControls2", "PySide6.QtQuickTest", "PySide6.QtSql", "PySide6.QtTest",
    "PySide6.QtHelp", "PySide6.QtDesigner", "PySide6.QtUiTools", "PySide6.QtXml", "PySide6.QtConcurrent",
    "PySide6.QtNetwork",
)  # fmt: skip
"""Parts of Qt that the window does not use and pyqtgraph only asks for."""

NAMED_AT_RUN_TIME = ("PySide6.QtOpenGL", "PySide6.QtOpenGLWidgets", "PySide6.QtSvg")
"""Modules that pyqtgraph and ziamath's drawings need and that no import statement names."""

FILES = (
    # Qt: its own words in forty languages (OptLab speaks English); plugins for QML, databases,
    # embedded screens, networks and printers; and the GTK theme, which would bring GTK along (the
    # desktop's colors come through its portal)
    "PySide6/Qt/translations/*", "PySide6/translations/*", "PySide6/Qt/qml/*", "*/plugins/egldeviceintegrations/*", "*/plugins/qmltooling/*",
    "*/plugins/sqldrivers/*", "*/plugins/tls/*", "*/plugins/networkinformation/*", "*/plugins/generic/*", "*/plugins/wayland-graphics-integration-server/*",
    "*/plugins/platforms/*eglfs*", "*/plugins/platforms/*linuxfb*", "*/plugins/platforms/*vnc*", "*/plugins/platforms/*vkkhr*",
    "*/plugins/platforms/*minimalegl*", "*/plugins/platforminputcontexts/*virtualkeyboard*", "*/plugins/imageformats/*pdf*", "*/plugins/printsupport/*",
    "*/plugins/vectorimageformats/*", "*/plugins/platformthemes/*gtk3*",
    "*/plugins/wayland-shell-integration/*wl-shell*",
    "*Qt6Qml*", "*Qt6Quick*", "*Qt6VirtualKeyboard*", "*Qt6Pdf*", "*Qt6EglF*", "*Qt6Sql*", "*Qt6WaylandCompositor*", "*Qt6Labs*", "*Qt6Designer*",
    "*Qt6WlShell*", "*Qt6Network.*", "*opengl32sw.dll", "*d3dcompiler_47.dll",
    # libraries' test suites, headers and sources for compilers
    "*/tests/*", "*/test/*", "torch/include/*", "torch/share/*", "*.pyi", "*.h", "*.hpp", "*.pxd", "*.pyx", "*.lib", "*.a", "*.cmake",
    # pictures for OptLab's README, and a plotting library's own programs
    "optlab/_resources/screenshots/*", "pyqtgraph/examples/*",
    # records of an installation that is none on the user's machine
    "*.dist-info/RECORD", "*.dist-info/direct_url.json", "*.dist-info/INSTALLER", "*.dist-info/REQUESTED", "*.dist-info/WHEEL",
    # parts of Python that read texts of other centuries and test themselves
    "python3*/lib-dynload/_codecs_*", "python3*/lib-dynload/_test*", "python3*/lib-dynload/_xxtest*", "python3*/lib-dynload/_ctypes_test*",
)  # fmt: skip
"""Patterns of files, relative to the program's folder, that are taken out of what PyInstaller
collected.
"""

SYSTEM_FOLDERS = ("/usr/lib", "/lib", "/usr/lib64", "/lib64")
FROM_SYSTEM = (
    "libpython*", "libssl.so*", "libcrypto.so*", "libffi.so*", "libsqlite3.so*", "libbz2.so*", "liblzma.so*", "libzstd.so*", "libexpat.so*", "libuuid.so*",
    "libmpdec*",
)  # fmt: skip
"""Shared libraries of the building Linux that go along: what Python itself needs. The others
(display, fonts, C and C++) have to fit the system that the program runs on and come with it; the
.deb names them, the tarball's script looks for them."""

TABLES = (
    "digits.csv.gz",
    "iris.csv",
    "wine_data.csv",
    "breast_cancer.csv",
    "diabetes_data_raw.csv.gz",
    "diabetes_target.csv.gz",
)
"""What of scikit-learn goes along: the files that optlab/catalogue/datasets/_scikit.py reads."""


def left_out(name: str, source: str = "") -> bool:
    """Whether a file that was collected from ``source`` stays out."""
    path = name.replace("\\", "/")
    if "/" not in path and source.startswith(SYSTEM_FOLDERS):
        return not any(fnmatch.fnmatchcase(path, pattern) for pattern in FROM_SYSTEM)
    return any(fnmatch.fnmatchcase(path, pattern) for pattern in FILES)


def kept(collected: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The entries of a PyInstaller table (name, source, kind) that go into the program.

    Links to files that stay out stay out, too.
    """
    remaining = [entry for entry in collected if not left_out(entry[0], entry[1])]
    names = {name for name, _, _ in remaining}
    return [
        entry
        for entry in remaining
        if entry[2] != "SYMLINK"
        or os.path.normpath(os.path.join(os.path.dirname(entry[0]), entry[1])) in names
    ]


def code(collected: Iterable[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """The entries of a PyInstaller table of Python modules that go into the program.

    All but five hundred languages that a terminal could color.
    """
    return [
        entry
        for entry in collected
        if not entry[0].startswith("pygments.lexers.")
        or entry[0] in ("pygments.lexers._mapping", "pygments.lexers.python")
    ]


WITH_SOURCE = ("optlab.catalogue", "optlab.core")
"""Packages whose source goes along as text, since scripts of runs are written from it."""

WITH_DATA = ("latex2mathml", "ziamath", "ziafont")
"""Libraries that read fonts and tables of their own, for formulas; PyInstaller knows of no such
files by itself.
"""


def data(package: str) -> list[tuple[str, str]]:
    """A library's files that are no Python, as (source, folder) pairs."""
    spec = importlib.util.find_spec(package)
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError(f"{package} is not installed")
    folder = Path(next(iter(spec.submodule_search_locations)))
    files = [
        path
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.suffix not in (".py", ".pyc", ".pyi")
    ]
    return [(str(path), path.parent.relative_to(folder.parent).as_posix()) for path in files]


def tables() -> list[tuple[str, str]]:
    """The data sets' files, as (source, folder) pairs."""
    scikit = importlib.metadata.distribution("scikit-learn")
    folder = "sklearn/datasets/data"
    return [(str(scikit.locate_file(f"{folder}/{name}")), folder) for name in TABLES]


def requirements(root: Path) -> list[str]:
    """Names of all distributions that the program is made of.

    OptLab's requirements, the window's, and theirs in turn.
    """
    import tomllib

    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    waiting = [*project["dependencies"], *project["optional-dependencies"]["gui"]]
    found: dict[str, None] = {}
    while waiting:
        requirement = waiting.pop(0)
        marker = requirement.partition(";")[2]
        name = re.split(r"[\s\[<>=!~;(]", requirement, maxsplit=1)[0].lower().replace("_", "-")
        if name in found or "extra" in marker or name in LEFT_OUT:
            continue
        try:
            distribution = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            continue  # asked for on another system only
        found[name] = None
        waiting += distribution.requires or []
    return list(found)


def papers(root: Path) -> list[tuple[str, str]]:
    """Each distribution's version and licenses, as (source, folder) pairs.

    What ``optlab doctor`` reads, and what licenses ask to be passed on.

    The other records of an installation (where it came from, which files it wrote) are about the
    machine that builds, and stay there.
    """
    pairs: list[tuple[str, str]] = []
    for name in requirements(root):
        distribution = importlib.metadata.distribution(name)
        for file in distribution.files or []:
            parts = file.parts
            if (
                len(parts) >= 2
                and parts[0].endswith(".dist-info")
                and (
                    parts[1] in ("METADATA", "licenses", "entry_points.txt")
                    or _is_license(parts[-1])
                )
            ):
                pairs.append((str(file.locate()), "/".join(parts[:-1])))
    return pairs


def _is_license(name: str) -> bool:
    return name.upper().startswith(("LICENSE", "LICENCE", "COPYING", "NOTICE", "AUTHORS"))
