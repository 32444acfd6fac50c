r"""Formulas for a terminal: the LaTeX of the catalogue's rules as one line of Unicode.

Covers the part of LaTeX that rules are written in; a test walks the whole catalogue, so a rule that
needs more is noticed. ``\frac{a}{b}`` becomes ``a / b``, with parentheses where a part has
operators of its own.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping

_SYMBOLS: Mapping[str, str] = {
    "leftarrow": " ← ", "rightarrow": " → ", "to": " → ", "sim": " ~ ", "in": " ∈ ", "notin": " ∉ ", "mid": " "
        "| ", "le": " "
        "≤ ", "leq": " "
        "≤ ", "ge": " "
        "≥ ",
    "geq": " ≥ ", "ll": " ≪ ", "gg": " ≫ ", "neq": " ≠ ", "ne": " ≠ ", "approx": " ≈ ", "equiv": " "
        "≡ ", "propto": " "
        "∝ ", "odot": " "
        "⊙ ",
    "oslash": " ⊘ ", "cdot": " · ", "times": " × ", "pm": " ± ", "mp": " ∓ ", "infty": "∞", "nabla": "∇",
    "partial": "∂", "sum": "Σ", "prod": "Π",
    "int": "∫", "top": "ᵀ", "dots": "…", "ldots": "…", "cdots": "⋯", "ell": "ℓ", "forall": "∀", "alpha": "α", "beta": "β", "gamma": "γ",
    "delta": "δ", "epsilon": "ε", "varepsilon": "ε", "zeta": "ζ", "eta": "η", "theta": "θ", "vartheta": "ϑ", "kappa": "κ", "lambda": "λ",
    "mu": "μ", "nu": "ν", "xi": "ξ", "pi": "π", "rho": "ρ", "sigma": "σ", "tau": "τ", "phi": "φ", "varphi": "φ", "chi": "χ", "psi": "ψ",
    "omega": "ω", "Gamma": "Γ", "Delta": "Δ", "Theta": "Θ", "Lambda": "Λ", "Sigma": "Σ", "Phi": "Φ", "Psi": "Ψ",
    "Omega": "Ω", "quad": "   ",
    "qquad": "      ", "lVert": "‖", "rVert": "‖", "Vert": "‖", "lvert": "|", "rvert": "|", "vert": "|", "langle": "⟨", "rangle": "⟩",
    "lfloor": "⌊", "rfloor": "⌋", "lceil": "⌈", "rceil": "⌉", "left": "", "right": "", "big": "", "Big": "", "bigl": "", "bigr": "",
    "displaystyle": "", "limits": "",
}  # fmt: skip
_SPACES: Mapping[str, str] = {
    ",": " ",
    ";": " ",
    ":": " ",
    " ": " ",
    "!": "",
    "|": "‖",
    "\\": "; ",
    "{": "{",
    "}": "}",
    "%": "%",
    "_": "_",
    "&": "&",
}
_ACCENTS: Mapping[str, str] = {
    "hat": "\u0302",
    "widehat": "\u0302",
    "bar": "\u0304",
    "overline": "\u0304",
    "tilde": "\u0303",
    "dot": "\u0307",
    "vec": "\u20d7",
}
_FONTS = frozenset(
    {
        "mathrm",
        "text",
        "mathbf",
        "boldsymbol",
        "mathcal",
        "mathbb",
        "operatorname",
        "mathit",
        "textrm",
        "bm",
    }
)
_UPRIGHT = frozenset(
    {
        "min",
        "max",
        "log",
        "ln",
        "exp",
        "sin",
        "arcsin",
        "cos",
        "tan",
        "tanh",
        "diag",
        "det",
        "sign",
        "arg",
        "lim",
        "sup",
        "inf",
        "Pr",
    }
)
_FRACTIONS = frozenset({"frac", "tfrac", "dfrac"})
_RAISED = str.maketrans("0123456789+-−=()nitkTL⊤ᵀ", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁻⁼⁽⁾ⁿⁱᵗᵏᵀᴸᵀᵀ")
_LOWERED = str.maketrans("0123456789+-−=()aehijklmnoprstuvx", "₀₁₂₃₄₅₆₇₈₉₊₋₋₌₍₎ₐₑₕᵢⱼₖₗₘₙₒₚᵣₛₜᵤᵥₓ")
_TOKEN = re.compile(r"\\([A-Za-z]+)\s?|\\(.)|([{}^_])|(\s+)|(.)", re.DOTALL)


def plain(latex: str) -> str:
    """Return a formula in LaTeX as Unicode text on one line."""
    text = _Reader(latex).sequence()
    text = re.sub(
        r"(?<=\S) {2,}(?=\S)", lambda gap: "   " if len(gap[0]) > 3 else " ", text
    ).strip()
    text = re.sub(r"‖ ?([^‖]*?) ?‖", r"‖\1‖", text)
    text = re.sub(r"(^|[=(,←~∼] ?)− ", r"\1−", text)  # a sign, not a difference
    return unicodedata.normalize(
        "NFC", text.replace("( ", "(").replace(" )", ")").replace(" ,", ",")
    )


class _Reader:
    def __init__(self, latex: str) -> None:
        self._tokens = [match.groups() for match in _TOKEN.finditer(latex)]
        self._next = 0

    def sequence(self, until: str = "") -> str:
        """Everything up to the closing token ``until``, or to the end."""
        parts: list[str] = []
        while self._next < len(self._tokens):
            if until and self._tokens[self._next][2] == until:
                self._next += 1
                break
            parts.append(self.one())
        return "".join(parts)

    def one(self) -> str:
        """Return the next symbol, group or command with its arguments."""
        word, sign, structure, space, character = self._tokens[self._next]
        self._next += 1
        if word:
            return self._command(word)
        if sign:
            return _SPACES.get(sign, sign)
        if structure == "{":
            return self.sequence("}")
        if structure in ("^", "_"):
            return self._script(structure)
        if space:
            return " "
        if character in "=+<>":
            return f" {character} "
        if character == "-":
            return " − "
        return character or ""

    def _skip_space(self) -> None:
        while self._next < len(self._tokens) and self._tokens[self._next][3]:
            self._next += 1

    def _argument(self) -> str:
        self._skip_space()
        return self.one().strip() if self._next < len(self._tokens) else ""

    def _command(self, word: str) -> str:
        if word in _FRACTIONS:
            above, below = self._argument(), self._argument()
            return f"{_bracketed(above)} / {_bracketed(below, divisor=True)}"
        if word == "sqrt":
            return f"√({self._argument()})"
        if word in _ACCENTS:
            inside = self._argument()
            return (
                inside + _ACCENTS[word]
                if len(inside) == 1
                else inside[:1] + _ACCENTS[word] + inside[1:]
            )
        if word in _FONTS:
            inside = self._argument()
            return f" {inside} " if " " in inside or word == "text" else inside
        if word in _UPRIGHT:
            self._skip_space()
            following = self._tokens[self._next] if self._next < len(self._tokens) else ("",) * 5
            if following[0] in _FRACTIONS:
                return f"{word}({self.one()})"
            return (
                word
                if following[2] in ("_", "^") or following[4] == "(" or following[0] == "left"
                else f"{word} "
            )
        return _SYMBOLS.get(word, word)

    def _script(self, structure: str) -> str:
        inside = self._argument().replace(" ", "")
        table = _RAISED if structure == "^" else _LOWERED
        letters = inside.replace(",", "")
        if all(ord(letter) in table for letter in letters):
            return letters.translate(table)
        return f"{structure}{inside}" if len(inside) == 1 else f"{structure}({inside})"


def _bracketed(part: str, *, divisor: bool = False) -> str:
    depth = 0
    for place, character in enumerate(part.strip()):
        depth += (character in "([{") - (character in ")]}")
        loose = character in "+−±~" or (divisor and character in "/·⊙×")
        if depth == 0 and loose and place:
            return f"({part.strip()})"
    return part.strip()
