"""Reading TOML files of users, such as those of studies and scenes."""

from __future__ import annotations

from pathlib import Path

from optlab.core.errors import InvalidInput
from optlab.core.reading import read_at_most
from optlab.core.toml import LARGEST_DOCUMENT


def read_document(path: Path, what: str) -> str:
    """Return the text of a TOML file.

    Args:
        path: of the file. what: it is to be, as in "a study".

    Raises:
        InvalidInput: it cannot be read, is too large, or is no text; the message begins with its
            path.
    """
    try:
        content = read_at_most(path, LARGEST_DOCUMENT)
    except (OSError, ValueError) as error:  # ValueError: a path with a zero byte in it
        reason = getattr(error, "strerror", None) or error
        raise InvalidInput(f"{path} cannot be read: {reason}.") from None
    if content is None:
        raise InvalidInput(
            f"{path} is larger than {LARGEST_DOCUMENT // 1024} KiB, so it is not {what}; give the "
            "path of a TOML file."
        )
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise InvalidInput(
            f"{path} is not a text file in UTF-8 (byte {error.start} does not fit)."
        ) from None
