"""Fuzzy matching: which texts a few typed letters may mean, the likeliest first."""

from __future__ import annotations

import re

_WORDS = re.compile(r"[^\W_]+")


def score(typed: str, text: str) -> float | None:
    """Return how well a text fits what was typed, higher is better; None if it does not fit.

    Each typed word must be found: at the start of a word, inside one, or with its letters in order
    ("lrs" in "learning-rate schedule"). Runs of letters and starts of words count more, and short
    texts are preferred.
    """
    folded = text.casefold()
    starts = {match.start() for match in _WORDS.finditer(folded)}
    total = 0.0
    for word in typed.casefold().split():
        best = _score_word(word, folded, starts)
        if best is None:
            return None
        total += best
    return total - 0.01 * len(text)


def _score_word(word: str, text: str, starts: set[int]) -> float | None:
    at = text.find(word)
    while at >= 0:
        if at in starts:
            whole = not text[at + len(word) : at + len(word) + 1].isalnum()
            return len(word) * 4.0 + (2.0 if at == 0 else 0.0) + (2.0 if whole else 0.0)
        at = text.find(word, at + 1)
    if word in text:
        return len(word) * 3.0
    scores = [
        found
        for jumps in (starts, set[int]())
        if (found := _score_letters(word, text, starts, jumps)) is not None
    ]
    return max(scores, default=None)


def _score_letters(word: str, text: str, starts: set[int], jumps: set[int]) -> float | None:
    """Return the score of letters in order with gaps; the places in ``jumps`` are taken first."""
    position, total, previous = 0, 0.0, -2
    for letter in word:
        begin = next((i for i in sorted(jumps) if i >= position and text[i] == letter), -1)
        at = text.find(letter, position)
        if at < 0:
            return None
        # A letter that goes on where the last one was beats the start of a later word.
        at = at if at == previous + 1 or begin < 0 else begin
        total += 2.0 if at in starts else 1.0 if at == previous + 1 else 0.2
        previous, position = at, at + 1
    # Letters strewn over a long text mean nothing.
    return total if total >= 0.8 * len(word) else None
