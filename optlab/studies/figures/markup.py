"""The parts of a page in HTML that refers to nothing outside of it.

Everything that people have written is escaped.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

from optlab.core.printable import printable


def text(value: object) -> str:
    """Return a value as text of a page, escaped."""
    return escape(printable(str(value), lines=True))


def figure(svg: str, caption: str) -> str:
    """Return a picture with its caption."""
    return (
        f'<figure role="img" aria-label="{text(caption)}">{svg}'
        f"<figcaption>{text(caption)}</figcaption></figure>"
    )


def table(headers: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Return a table of texts."""
    head = "".join(f"<th>{text(header)}</th>" for header in headers)
    body = "".join(
        "<tr>" + "".join(f"<td>{text(cell)}</td>" for cell in row) + "</tr>" for row in rows
    )
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


STYLE = """
:root { color-scheme: light; }
body { font: 16px/1.5 system-ui, sans-serif; color: #1f2328; background: #fff;
  max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.7rem; line-height: 1.25; } h2 { font-size: 1.15rem; margin-top: 2.2rem; }
.verdict { padding: .7rem 1rem; border-left: .35rem solid #6e7781; background: #f6f8fa; }
.verdict.supported { border-color: #1a7f37; } .verdict.contradicted { border-color: #cf222e; }
figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
figcaption { color: #57606a; font-size: .9rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { text-align: left; vertical-align: top; padding: .3rem .9rem .3rem 0;
  border-bottom: 1px solid #d0d7de; }
pre { overflow-x: auto; background: #f6f8fa; padding: 1rem; font-size: .8rem; }
@media print { body { margin: 0; max-width: none; } h2 { break-after: avoid; }
  figure, tr { break-inside: avoid; } }
"""

PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="OptLab">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
</body>
</html>
"""
