"""The program's icon in the forms of the three systems, from resources/icons/optlab.svg.

Run by the interpreter that has Qt: ``python packaging/icons.py FOLDER`` writes PNG pictures named
after their size, an .ico and an .icns. Both of these are only containers of PNG pictures, so that
no other library is needed for them.
"""

from __future__ import annotations

import os
import struct
import sys
from pathlib import Path

SVG = Path(__file__).resolve().parent.parent / "resources" / "icons" / "optlab.svg"
SIZES = (16, 24, 32, 48, 64, 128, 256, 512, 1024)
WINDOWS = (16, 24, 32, 48, 64, 128, 256)
MACOS = {
    16: b"icp4",
    32: b"icp5",
    64: b"icp6",
    128: b"ic07",
    256: b"ic08",
    512: b"ic09",
    1024: b"ic10",
}


def draw(size: int) -> bytes:
    """The icon as a PNG picture of ``size`` × ``size`` pixels."""
    from PySide6.QtCore import QBuffer, QIODevice
    from PySide6.QtGui import QImage, QPainter
    from PySide6.QtSvg import QSvgRenderer

    image = QImage(size, size, QImage.Format.Format_ARGB32)
    image.fill(0)
    painter = QPainter(image)
    QSvgRenderer(str(SVG)).render(painter)
    painter.end()
    buffer = QBuffer()
    buffer.open(QIODevice.OpenModeFlag.WriteOnly)
    image.save(buffer, "PNG")
    return bytes(buffer.data().data())


def ico(pictures: dict[int, bytes]) -> bytes:
    """A Windows icon.

    A directory of the pictures, then the pictures; a size of 256 is written as 0.
    """
    head, place = struct.pack("<HHH", 0, 1, len(pictures)), 6 + 16 * len(pictures)
    for size, picture in pictures.items():
        head += struct.pack("<BBBBHHII", size % 256, size % 256, 0, 0, 1, 32, len(picture), place)
        place += len(picture)
    return head + b"".join(pictures.values())


def icns(pictures: dict[int, bytes]) -> bytes:
    """A macOS icon: chunks of a name, a length that counts its own eight bytes, and a picture."""
    chunks = b"".join(
        MACOS[size] + struct.pack(">I", 8 + len(picture)) + picture
        for size, picture in pictures.items()
    )
    return b"icns" + struct.pack(">I", 8 + len(chunks)) + chunks


def main(folder: Path) -> int:
    """Write all forms; the exit code."""
    os.environ["QT_QPA_PLATFORM"] = "offscreen"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = {size: draw(size) for size in SIZES}
    for size, picture in pictures.items():
        (folder / f"{size}.png").write_bytes(picture)
    (folder / "optlab.ico").write_bytes(ico({size: pictures[size] for size in WINDOWS}))
    (folder / "optlab.icns").write_bytes(icns({size: pictures[size] for size in MACOS}))
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
