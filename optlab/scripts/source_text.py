"""Source as people write it: short lines, texts in double quotes, tuples without brackets."""

from __future__ import annotations

import ast
import io
import re
import tokenize

LONGEST = 96
"""Characters of a line of a script, where it can be broken."""


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


def text(node: ast.AST) -> str:
    """Return a node of a syntax tree as source, with long lines broken where they can be."""
    written = ast.unparse(ast.fix_missing_locations(node))
    return "\n".join(_broken(_bare(line)) for line in written.splitlines())


def _bare(line: str) -> str:
    """Return a line that returns or assigns a tuple without the brackets around it."""
    found = re.fullmatch(r"(\s*(?:return|[\w, ]+ =) )\((.*)\)", line)
    if found is None:
        return line
    try:
        value = ast.parse(f"({found[2]})", mode="eval").body
    except SyntaxError:
        return line  # the brackets do not belong to each other
    return found[1] + found[2] if isinstance(value, ast.Tuple) and value.elts else line


def _broken(line: str) -> str:
    """Return a line broken after commas or before operators of its outermost brackets."""
    if len(line) <= LONGEST or '"""' in line:
        return line
    try:
        ast.parse(line.strip())
    except SyntaxError:
        return line  # the head of a block
    indent = line[: len(line) - len(line.lstrip())]
    depth, cut, quoted = 0, [], ""
    for index, letter in enumerate(line):
        if quoted:
            quoted = "" if letter == quoted else quoted
        elif letter in "'\"":
            quoted = letter
        elif letter in "([{":
            depth += 1
        elif letter in ")]}":
            depth -= 1
        elif letter == "," and depth == 1 and line[index + 1 : index + 2] == " ":
            cut.append(index + 1)
    cut = [one for one in cut if one <= LONGEST]
    if not cut:
        return line
    return f"{line[: cut[-1]]}\n{_broken(indent + '        ' + line[cut[-1] + 1 :])}"
