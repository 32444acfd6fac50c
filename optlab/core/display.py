"""Checks whether a window can be opened, before Qt tries: Qt aborts the process if it cannot.

On Linux three things can be missing: a display named in the environment, a server that accepts
connections to it, and the libraries that Qt's X11 plugin links to. Other systems always have a
screen.
"""

from __future__ import annotations

import ctypes
import os
import socket
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

_PACKAGES: Mapping[str, str] = {
    "libEGL.so.1": "libegl1",
    "libGL.so.1": "libgl1",
    "libX11.so.6": "libx11-6",
    "libdbus-1.so.3": "libdbus-1-3",
    "libfontconfig.so.1": "libfontconfig1",
    "libfreetype.so.6": "libfreetype6",
    "libglib-2.0.so.0": "libglib2.0-0",
    "libxkbcommon.so.0": "libxkbcommon0",
    "libX11-xcb.so.1": "libx11-xcb1",
    "libxkbcommon-x11.so.0": "libxkbcommon-x11-0",
    "libxcb.so.1": "libxcb1",
    "libxcb-cursor.so.0": "libxcb-cursor0",
    "libxcb-icccm.so.4": "libxcb-icccm4",
    "libxcb-image.so.0": "libxcb-image0",
    "libxcb-keysyms.so.1": "libxcb-keysyms1",
    "libxcb-randr.so.0": "libxcb-randr0",
    "libxcb-render.so.0": "libxcb-render0",
    "libxcb-render-util.so.0": "libxcb-render-util0",
    "libxcb-shape.so.0": "libxcb-shape0",
    "libxcb-shm.so.0": "libxcb-shm0",
    "libxcb-sync.so.1": "libxcb-sync1",
    "libxcb-util.so.1": "libxcb-util1",
    "libxcb-xfixes.so.0": "libxcb-xfixes0",
    "libxcb-xkb.so.1": "libxcb-xkb1",
}
"""Library that Qt links to on Linux → the Debian package that provides it."""


def problem() -> str:
    """Return why no window can be opened, as the beginning of a sentence; "" if one can."""
    if not sys.platform.startswith("linux"):
        return ""
    platform = os.environ.get("QT_QPA_PLATFORM", "").partition(";")[0].partition(":")[0]
    if platform and platform not in ("xcb", "wayland", "wayland-egl"):
        return ""  # offscreen, minimal, vnc, …: selected explicitly, and needs no display
    if platform != "xcb" and _wayland_accepts():
        return ""
    name = os.environ.get("DISPLAY", "")
    if not name:
        return (
            "There is no display to open a window on (neither DISPLAY nor WAYLAND_DISPLAY names "
            "one); log in to a desktop, use ssh -X, or start OptLab with xvfb-run"
        )
    missing = missing_libraries()
    if missing:
        return (
            "Qt needs libraries that are missing on this system "
            f"({', '.join(missing)}); {advice(missing)}"
        )
    if not _x_server_accepts():
        return (
            f"The display {name!r} named by DISPLAY does not answer; check that it is running and "
            "that you may use it"
        )
    return ""


def missing_libraries() -> list[str]:
    """Return the libraries of :data:`_PACKAGES` that cannot be loaded; empty except on Linux."""
    return (
        [library for library in _PACKAGES if not _loads(library)]
        if sys.platform.startswith("linux")
        else []
    )


def advice(libraries: Iterable[str]) -> str:
    """Return how to install these libraries, as part of a sentence."""
    packages = " ".join(_PACKAGES.get(library, library) for library in libraries)
    return f"on Debian or Ubuntu install them with: sudo apt install {packages}"


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _wayland_accepts() -> bool:
    name = os.environ.get("WAYLAND_DISPLAY", "")
    if not name:
        return False
    # an absolute name replaces the folder
    path = Path(os.environ.get("XDG_RUNTIME_DIR", "/"), name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(2.0)
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True


def _x_server_accepts() -> bool:
    """Return whether the X server of DISPLAY accepts a connection from this user.

    The call is the one that Qt makes.
    """
    xcb = ctypes.CDLL("libxcb.so.1")
    xcb.xcb_connect.restype = ctypes.c_void_p
    xcb.xcb_connect.argtypes = [ctypes.c_char_p, ctypes.c_void_p]
    xcb.xcb_connection_has_error.argtypes = [ctypes.c_void_p]
    xcb.xcb_disconnect.argtypes = [ctypes.c_void_p]
    connection = xcb.xcb_connect(None, None)
    try:
        return int(xcb.xcb_connection_has_error(connection)) == 0
    finally:
        xcb.xcb_disconnect(connection)
