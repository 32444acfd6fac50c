"""Failures of the watching itself: said once, and never to the loop that is watched.

A sentence goes to standard error once a cause, and with its traceback to ``watch.log`` in the folder
of the run. Nothing here raises.
"""

from __future__ import annotations

import contextlib
import sys
import threading
import traceback
from datetime import UTC, datetime
from pathlib import Path

from optlab.core.printable import printable
from optlab.watch.blocks import LOG_FILE

_MAX_CAUSES = 100


class Failures:
    """What went wrong while a run was watched.

    Attributes:
        folder: of the run; None as long as there is none.
        said: cause → sentence, of everything that was said.
    """

    def __init__(self) -> None:
        self.folder: Path | None = None
        self.said: dict[str, str] = {}
        self._lock = threading.Lock()

    def say(self, cause: str, sentence: str, error: BaseException | None = None) -> None:
        """Say what is not done and why, unless this was said before.

        Args:
            cause: what tells failures apart.
            sentence: what is not done, without the error.
            error: why, where there is one.
        """
        with self._lock:
            if cause in self.said or len(self.said) >= _MAX_CAUSES:
                return
            reason = f" ({type(error).__name__}: {error})" if error is not None else ""
            text = " ".join(f"{sentence}{reason}".split())[:2000]
            self.said[cause] = text
        # Standard error may be closed, or a pipe that nobody reads.
        with contextlib.suppress(OSError, ValueError, AttributeError):
            print(f"optlab.watch: {printable(text)}", file=sys.stderr, flush=True)
        if self.folder is None:
            return
        lines = [f"{datetime.now(UTC).isoformat(timespec='seconds')} {text}\n"]
        if error is not None:
            lines += traceback.format_exception(error)
        with (
            contextlib.suppress(OSError),
            (self.folder / LOG_FILE).open("a", encoding="utf-8", errors="replace") as log,
        ):
            log.write("".join(lines))
