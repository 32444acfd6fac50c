"""Source as people write it: texts in double quotes."""

from __future__ import annotations

import ast
import io
import tokenize


def double_quoted(source: str) -> str:
    """Return source with its simple texts in double quotes, where that changes nothing else."""
    lines = source.splitlines(keepends=True)
    changes: list[tuple[int, int, int, str]] = []
    inside = 0
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        name = tokenize.tok_name[token.type]
        if name == "FSTRING_START":  # from Python 3.12 on, a formatted text is several tokens
            if inside == 0:
                begin = token
            inside += 1
        elif name == "FSTRING_END":
            inside -= 1
        if name == "FSTRING_END" and inside == 0:
            row, first, last = begin.start[0], begin.start[1], token.end[1]
        elif name == "STRING" and inside == 0:
            row, first, last = token.start[0], token.start[1], token.end[1]
        else:
            continue
        text = lines[row - 1][first:last]
        letters = text.removeprefix("f")
        if (
            token.end[0] == row
            and letters.startswith("'")
            and not (set('"\\') & set(letters) or "'" in letters[1:-1])
        ):
            changes.append((row, first, last, text.replace("'", '"')))
    for row, first, last, text in sorted(changes, reverse=True):
        line = lines[row - 1]
        lines[row - 1] = line[:first] + text + line[last:]
    changed = "".join(lines)
    return changed if ast.dump(ast.parse(changed)) == ast.dump(ast.parse(source)) else source
