"""SVG files whose text is outlines: they look the same where the font is not installed."""

from __future__ import annotations

import xml.etree.ElementTree as ET

from PySide6.QtGui import QFont, QPainterPath

_NAMESPACE = "http://www.w3.org/2000/svg"
_TEXT_ATTRIBUTES = (
    *("x", "y", "font-family", "font-size", "font-weight", "font-style"),
    *("text-decoration", "{http://www.w3.org/XML/1998/namespace}space"),
)


def outlined(svg: bytes, width: float, height: float) -> bytes:
    """Return an SVG document of Qt's with its text as outlines, and its size exactly.

    Each outline keeps its text as ``aria-label``, by which it is found.

    Args:
        svg: the document. width, height: in millimeters.
    """
    ET.register_namespace("", _NAMESPACE)
    root = ET.fromstring(svg)
    root.set("width", f"{width:g}mm")
    root.set("height", f"{height:g}mm")
    for element in root.iter(f"{{{_NAMESPACE}}}text"):
        _outline(element)
    document: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return document


def _outline(element: ET.Element) -> None:
    """Make an element of text one of a path, with the same fill."""
    text = "".join(element.itertext())
    font = QFont()
    families = [part.strip("' ") for part in element.get("font-family", "").split(",")]
    font.setFamilies([family for family in families if family])
    font.setPixelSize(max(1, round(float(element.get("font-size", "12").removesuffix("px")))))
    font.setWeight(QFont.Weight(int(element.get("font-weight", "400"))))
    font.setItalic(element.get("font-style") == "italic")
    path = QPainterPath()
    path.addText(float(element.get("x", "0")), float(element.get("y", "0")), font, text)
    for name in _TEXT_ATTRIBUTES:
        element.attrib.pop(name, None)
    for child in list(element):
        element.remove(child)
    element.text = None
    element.tag = f"{{{_NAMESPACE}}}path"
    element.set("aria-label", text.strip())
    element.set("d", _commands(path))


def _commands(path: QPainterPath) -> str:
    commands: list[str] = []
    index = 0
    while index < path.elementCount():
        part = path.elementAt(index)
        if part.isMoveTo():
            commands.append(f"M{part.x:.3f},{part.y:.3f}")
        elif part.isLineTo():
            commands.append(f"L{part.x:.3f},{part.y:.3f}")
        else:
            points = [path.elementAt(index + offset) for offset in range(3)]
            commands.append("C" + " ".join(f"{point.x:.3f},{point.y:.3f}" for point in points))
            index += 2
        index += 1
    return "".join(commands)
