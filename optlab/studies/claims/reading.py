"""Reading a claim from its TOML file.

The texts stand at the top, ``[study]`` has the sections of a study file, and ``[control]`` what the
negative control changes of them. A section of the control that is a table is laid over that of the
study, field by field; what stands in its list ``without`` (``"set.model"``) is left out before.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from optlab.core import toml
from optlab.core.errors import InvalidInput
from optlab.core.fields import did_you_mean, shown
from optlab.core.reading import read_at_most
from optlab.core.toml import LARGEST_DOCUMENT
from optlab.studies.claims.claim import Claim, ClaimText
from optlab.studies.comparison import reading
from optlab.studies.comparison.study import Study

FORMAT = 1
"""Version of the file format; files of a newer version are rejected."""
_OTHERS = ("format", "quick", "study", "control")


def load(path: Path) -> Claim:
    """Return the claim in a file.

    Raises:
        InvalidInput: the file cannot be read or is not valid; the message begins with its path.
    """
    try:
        content = read_at_most(path, LARGEST_DOCUMENT)
        if content is None:
            raise InvalidInput(f"it is larger than {LARGEST_DOCUMENT // 1024} KiB.")
        return from_toml(content.decode("utf-8"), path.stem)
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror or error}.") from None
    except UnicodeDecodeError:
        raise InvalidInput(f"{path} is not a text file in UTF-8.") from None
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}", error.field) from None


def from_toml(document: str, name: str = "") -> Claim:
    """Return the claim of a TOML document.

    Args:
        name: of its file, without suffix.

    Raises:
        InvalidInput: the document is not TOML, or no valid claim.
    """
    try:
        values = toml.parse(document)
    except toml.TOMLProblem as error:
        raise InvalidInput(f"This is not a TOML file: {error}.") from None
    known = [*(field.name for field in ClaimText.fields()), *_OTHERS]
    for key in values:
        if key not in known:
            raise InvalidInput(
                f"{shown(key)} is not part of a claim{did_you_mean(key, known)}; its parts are "
                f"{', '.join(known)}.",
                key,
            )
    if values.get("format", FORMAT) != FORMAT:
        raise InvalidInput(
            f"format is {shown(values['format'])}, but this OptLab reads claims of format "
            f"{FORMAT}.",
            "format",
        )
    quick = values.get("quick", True)
    if not isinstance(quick, bool):
        raise InvalidInput(f"quick is {shown(quick)}, but it must be true or false.", "quick")
    text = _text({key: value for key, value in values.items() if key not in _OTHERS})
    tables = _table(values, "study")
    changes = dict(_table(values, "control"))
    left = _without(tables, changes.pop("without", []))
    changed = laid_over(left, changes)
    question = {"question": text.statement}
    return Claim(
        text,
        _study({**question, **tables}, "study"),
        _study({**question, **changed}, "control"),
        quick,
        name,
    )


def _without(tables: Mapping[str, Any], paths: Any) -> dict[str, Any]:
    """Return nested tables without what stands at some dotted paths."""
    if not isinstance(paths, list) or not all(isinstance(path, str) for path in paths):
        raise InvalidInput(
            f'control.without is {shown(paths)}, but it must be a list of paths, as ["set.model"].',
            "control.without",
        )
    left = dict(tables)
    for path in paths:
        left = _without_one(left, path.split("."), path)
    return left


def _without_one(tables: Mapping[str, Any], keys: list[str], path: str) -> dict[str, Any]:
    if not isinstance(tables, Mapping) or keys[0] not in tables:
        raise InvalidInput(
            f"control.without names {shown(path)}, which the study does not have.",
            "control.without",
        )
    if len(keys) == 1:
        return {key: value for key, value in tables.items() if key != keys[0]}
    return {**tables, keys[0]: _without_one(tables[keys[0]], keys[1:], path)}


def laid_over(base: Mapping[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    """Return nested tables with changes laid over them, field by field."""
    merged = dict(base)
    for key, value in changes.items():
        old = base.get(key)
        both = isinstance(old, Mapping) and isinstance(value, Mapping)
        merged[key] = laid_over(old, value) if both else value  # type: ignore[arg-type]
    return merged


def _text(values: Mapping[str, Any]) -> ClaimText:
    built = ClaimText.build(values, "")
    for field in ClaimText.fields():
        if not getattr(built, field.name).strip():
            raise InvalidInput(
                f"{field.name} is missing; a claim needs it: {field.help}", field.name
            )
    return built


def _table(values: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    table = values.get(key)
    if not isinstance(table, Mapping) or not table:
        raise InvalidInput(f"[{key}] is missing; a claim has a study and a control of it.", key)
    return table


def _study(tables: Mapping[str, Any], where: str) -> Study:
    try:
        return reading.from_dict(tables)
    except InvalidInput as error:
        raise InvalidInput(f"[{where}] {error}", f"{where}.{error.field}") from None
