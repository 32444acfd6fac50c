"""What PyInstaller takes of torch: the compiled modules, and the Python ones without their sources.

The hook that comes with PyInstaller keeps every module twice, compiled and as source, with all data
files; training needs neither the headers, tests and command-line programs nor most of the sources.
packaging/sources.py finds which of them it needs, and what is imported without an import statement.
"""

import json
import os
import subprocess
import sys

from PyInstaller import compat
from PyInstaller.utils.hooks import PY_DYLIB_PATTERNS, collect_dynamic_libs, get_package_paths

TESTS = ("test", "jitbackend", "backend_with_compiler", "aoti_custom_ops")

watch = [
    sys.executable,
    os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "sources.py"),
]
seen = json.loads(
    subprocess.run(
        watch, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True
    ).stdout
)
module_collection_mode = {"torch": "pyz", **dict.fromkeys(seen["sources"], "pyz+py")}
hiddenimports = seen["modules"]
excludedimports = ["torch.utils.tensorboard"]
binaries = [
    (source, folder)
    for source, folder in collect_dynamic_libs(
        "torch", search_patterns=[*PY_DYLIB_PATTERNS, "*.so.*"]
    )
    if not any(word in source.replace("\\", "/").rpartition("/")[2] for word in TESTS)
]
if not compat.is_win:
    # `import torch` looks whether this program is there.
    binaries.append(
        (os.path.join(get_package_paths("torch")[1], "bin", "torch_shm_manager"), "torch/bin")
    )
if compat.is_linux:
    # torch finds its libraries beside each other; links to them from the top folder would confuse
    # it.
    bindepend_symlink_suppression = ["**/torch/lib/*.so*"]
