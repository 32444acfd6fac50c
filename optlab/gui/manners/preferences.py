"""What the user prefers, in every session."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import Any, Self, get_args

from optlab.gui.manners import settings_file
from optlab.gui.theme import ThemeName

FILE = "preferences.json"
FONT_SIZES = (7, 32)
"""Smallest and largest font size in points."""
MAX_THREADS = 256
MAX_MEGABYTES = 1_000_000


@dataclass(frozen=True)
class Preferences:
    """Preferences with their defaults.

    Attributes:
        theme: colors. font_size: of all texts, in points; 0 for the system's.
        threads: CPU threads of the experiments that are opened from the presets.
        pace: steps a second of the next run, 0 for as many as possible.
        snapshot_megabytes: snapshots that a run keeps; 0 for the first and the newest alone.
        ask_before_closing: whether to ask about a run in progress and about edits.
    """

    theme: ThemeName = "system"
    font_size: int = 0
    threads: int = 1
    pace: float = 0.0
    snapshot_megabytes: int = 64
    ask_before_closing: bool = True

    @classmethod
    def read(cls) -> tuple[Self, str]:
        """Return the preferences of the data folder, and what was ignored of them, or ""."""
        content, problem = settings_file.read(FILE)
        good = {key: value for key, value in content.items() if _valid(key, value)}
        wrong = [field.name for field in fields(cls) if field.name in content.keys() - good.keys()]
        if wrong and not problem:
            problem = (
                f"These preferences have no valid value in {FILE} and were ignored: "
                f"{', '.join(wrong)}."
            )
        return cls(**good), problem

    def write(self) -> str:
        """Write them to the data folder, and return why that failed, or ""."""
        return settings_file.write(FILE, asdict(self))


def _valid(name: str, value: Any) -> bool:
    if isinstance(value, bool) or name == "ask_before_closing":
        return isinstance(value, bool) and name == "ask_before_closing"
    if name == "theme":
        return value in get_args(ThemeName)
    whole = isinstance(value, int)
    bounds = {
        "font_size": whole and (value == 0 or FONT_SIZES[0] <= value <= FONT_SIZES[1]),
        "threads": whole and 1 <= value <= MAX_THREADS,
        "pace": isinstance(value, int | float) and 0.0 <= value <= 1e6,
        "snapshot_megabytes": whole and 0 <= value <= MAX_MEGABYTES,
    }
    return bool(bounds.get(name, False))
