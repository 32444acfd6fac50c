"""Page texts of torch's own optimizers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Description:
    """Texts of one page.

    Attributes:
        sentence: one sentence.
        explanation: one paragraph.
        rule: LaTeX lines.
        source: where the rule comes from.
        symbols: symbol → meaning.
    """

    sentence: str
    explanation: str
    rule: tuple[str, ...]
    source: str
    symbols: Mapping[str, str] = field(default_factory=dict)


_THETA = {
    "θ": "parameters",
    "g": "gradient of the objective on the batch",
    "t": "step number, starting from 1",
}
_MOMENTS = {**_THETA, "s": "first moment, initially 0", "r": "second moment, initially 0"}
_S = r"s \leftarrow \rho_1 s + (1 - \rho_1)\, g"
_R = r"r \leftarrow \rho_2 r + (1 - \rho_2)\, g \odot g"
_HATS = r"\hat{s} = \frac{s}{1 - \rho_1^t},\quad \hat{r} = \frac{r}{1 - \rho_2^t}"
_STEP = r"\theta \leftarrow \theta - \epsilon\, \frac{\hat{s}}{\sqrt{\hat{r}} + \delta}"
_PENALTY = r"g \leftarrow g + \lambda \theta"

UNSUPPORTED: Mapping[str, str] = {
    "SparseAdam": "torch's SparseAdam takes sparse gradients only, and the models of this program"
    " have dense ones; use torch.adam.",
    "LBFGS": "torch's LBFGS evaluates the loss several times per step and keeps lists of changing"
    " length, so it is not available; use lbfgs, the optimizer of the catalogue.",
}
"""Classes of torch that are not components → reason."""

DESCRIPTIONS: Mapping[str, Description] = {
    "SGD": Description(
        "Gradient descent with momentum in torch's form.",
        "The rate multiplies the velocity, so a schedule rescales old gradients, too; the"
        " optimizer momentum of the catalogue follows the notes, where the rate is part of the"
        " velocity. The two differ if the rate changes. The first velocity is the gradient"
        " itself, without dampening.",
        (
            _PENALTY,
            r"v \leftarrow \alpha v + (1 - \tau)\, g",
            r"\theta \leftarrow \theta - \epsilon v",
        ),
        "torch.optim.SGD; I. Sutskever et al. (2013).",
        {**_THETA, "v": "velocity", "τ": "dampening"},
    ),
    "Adam": Description(
        "Adam as torch computes it, with optional weight decay and AMSGrad.",
        "Without these options it is the optimizer adam of the catalogue.",
        (_PENALTY, _S, _R, _HATS, _STEP),
        "torch.optim.Adam; D. Kingma, J. Ba (2015).",
        _MOMENTS,
    ),
    "AdamW": Description(
        "Adam with weight decay that acts on the parameters directly.",
        "Decay that is part of the gradient would be divided by the second moment like the rest of"
        " it; instead, every parameter shrinks by the same share.",
        (r"\theta \leftarrow (1 - \epsilon \lambda)\, \theta", _S, _R, _HATS, _STEP),
        "torch.optim.AdamW; I. Loshchilov, F. Hutter (2019).",
        _MOMENTS,
    ),
    "Adamax": Description(
        "Adam with the largest recent gradient in place of the root mean square.",
        "The maximum decays by ρ₂ per step; it needs no bias correction.",
        (
            _PENALTY,
            _S,
            r"u \leftarrow \max(\rho_2 u, |g| + \delta)",
            r"\theta \leftarrow \theta - \frac{\epsilon}{1 - \rho_1^t}\, \frac{s}{u}",
        ),
        "torch.optim.Adamax; D. Kingma, J. Ba (2015), section 7.1.",
        {**_MOMENTS, "u": "largest recent magnitude of the gradient, initially 0"},
    ),
    "NAdam": Description(
        "Adam with Nesterov momentum in place of plain momentum.",
        "The momentum grows towards ρ₁ over the steps; each step uses the momentum of the next"
        " one.",
        (
            _PENALTY,
            r"\mu_t = \rho_1 \left(1 - \frac{1}{2} \cdot 0.96^{t \psi}\right)",
            _S,
            _R,
            r"\hat{s} = \frac{\mu_{t+1}\, s}{1 - \prod_{i=1}^{t+1} \mu_i} + \frac{(1 - \mu_t)\, "
            r"g}{1 - \prod_{i=1}^{t} \mu_i}",
            r"\hat{r} = \frac{r}{1 - \rho_2^t}",
            _STEP,
        ),
        "torch.optim.NAdam; T. Dozat (2016).",
        {**_MOMENTS, "μ": "momentum of a step"},
    ),
    "RAdam": Description(
        "Adam without the adaptive division until the second moment is reliable.",
        "In the first steps the variance of the adaptive rate is not even finite. Until the"
        " effective length ℓ of the average of squares exceeds 5, the step is that of momentum;"
        " after that the adaptive step is scaled by the factor u.",
        (
            _PENALTY,
            _S,
            _R,
            r"\ell_{\infty} = \frac{2}{1 - \rho_2} - 1,\quad \ell_t = \ell_{\infty} - \frac{2 t "
            r"\rho_2^t}{1 - \rho_2^t}",
            r"u = \sqrt{\frac{(\ell_t - 4)(\ell_t - 2)\, \ell_{\infty}}{(\ell_{\infty} - "
            r"4)(\ell_{\infty} - 2)\, \ell_t}}",
            r"\theta \leftarrow \theta - \epsilon\, u\, \hat{s}\, \frac{\sqrt{1 - "
            r"\rho_2^t}}{\sqrt{r} + \delta}\quad \text{if}\ \ell_t > 5",
            r"\theta \leftarrow \theta - \epsilon\, \hat{s}\quad \text{otherwise}",
        ),
        "torch.optim.RAdam; L. Liu et al. (2020).",
        {
            **_MOMENTS,
            "ŝ": "s / (1 − ρ₁ᵗ)",
            "ℓ": "effective length of the average of squares, in steps",
        },
    ),
    "Adagrad": Description(
        "Adagrad as torch computes it, with optional decay of the rate and an initial sum.",
        "The steps of each parameter shrink with the square root of the sum of its squared"
        " gradients.",
        (
            _PENALTY,
            r"r \leftarrow r + g \odot g",
            r"\theta \leftarrow \theta - \frac{\epsilon}{1 + (t - 1)\, \eta}\, \frac{g}{\sqrt{r} "
            r"+ \delta}",
        ),
        "torch.optim.Adagrad; J. Duchi et al. (2011).",
        {**_THETA, "r": "sum of the squared gradients", "η": "decay of the rate"},
    ),
    "Adadelta": Description(
        "Adadelta as torch computes it: steps in units of earlier steps.",
        "The ratio of two running root mean squares replaces the learning rate; the field lr"
        " multiplies it.",
        (
            _PENALTY,
            r"r \leftarrow \rho r + (1 - \rho)\, g \odot g",
            r"d = \frac{\sqrt{u + \delta}}{\sqrt{r + \delta}} \odot g",
            r"u \leftarrow \rho u + (1 - \rho)\, d \odot d",
            r"\theta \leftarrow \theta - \epsilon d",
        ),
        "torch.optim.Adadelta; M. Zeiler (2012).",
        {
            **_THETA,
            "r": "running average of squared gradients, initially 0",
            "u": "running average of squared steps, initially 0",
        },
    ),
    "RMSprop": Description(
        "RMSProp as torch computes it, with momentum and centering.",
        "The small constant is added outside the square root, where the notes add it inside;"
        " momentum acts on the rescaled gradient.",
        (
            _PENALTY,
            r"r \leftarrow \rho r + (1 - \rho)\, g \odot g",
            r"v \leftarrow \alpha v + \frac{g}{\sqrt{r} + \delta}",
            r"\theta \leftarrow \theta - \epsilon v",
        ),
        "torch.optim.RMSprop; G. Hinton (2012).",
        {
            **_THETA,
            "r": "running average of squared gradients, initially 0",
            "v": "velocity, initially 0",
        },
    ),
    "Rprop": Description(
        "Steps whose sizes depend on the signs of the gradient alone.",
        "If the gradient of a parameter keeps its sign, its step grows; if the sign changes, its"
        " step shrinks and the parameter is not changed. The method is meant for full batches:"
        " the noise of small ones changes signs.",
        (
            r"\Delta \leftarrow \Delta\, \eta_+\quad \text{if}\ g\, g' > 0",
            r"\Delta \leftarrow \Delta\, \eta_-,\quad g \leftarrow 0\quad \text{if}\ g\, g' < 0",
            r"\theta \leftarrow \theta - \Delta \odot \mathrm{sign}(g)",
        ),
        "torch.optim.Rprop; M. Riedmiller, H. Braun (1993).",
        {
            **_THETA,
            "g'": "gradient of the previous step",
            "Δ": "step size of each parameter, initially ε",
        },
    ),
    "ASGD": Description(
        "Gradient descent with a decreasing rate that also keeps an average of its iterates.",
        "torch computes the average, but it does not change the iterates, which are trained and"
        " measured. For an average that is evaluated, use the section averaging.",
        (
            _PENALTY,
            r"\theta \leftarrow (1 - \lambda \eta)\, \theta - \eta g",
            r"\eta \leftarrow \frac{\epsilon}{(1 + \lambda \epsilon t)^{\alpha}}",
        ),
        "torch.optim.ASGD; B. Polyak, A. Juditsky (1992).",
        {**_THETA, "η": "rate of the step, initially ε", "α": "power of the decay"},
    ),
    "Adafactor": Description(
        "Adaptive rates from averages of squares over rows and columns, to save memory.",
        "The second moment of a matrix is approximated by the product of its row and column"
        " averages; the step is relative to the size of the tensor, and updates that are too"
        " large are scaled down. Vectors keep their full second moment.",
        (
            r"R \leftarrow \rho_t R + (1 - \rho_t)\, \frac{1}{n} \sum_{j} G_{i,j}^2",
            r"C \leftarrow \rho_t C + (1 - \rho_t)\, \frac{1}{m} \sum_{i} G_{i,j}^2",
            r"U = \frac{G}{\sqrt{R C / \mathrm{mean}(R)}}",
            r"\theta \leftarrow \theta - \max(\delta_2, \|\theta\|_{\mathrm{rms}})\, "
            r"\min(\epsilon, t^{-1/2})\,"
            r" \frac{U}{\max(1, \|U\|_{\mathrm{rms}} / d)}",
        ),
        "torch.optim.Adafactor; N. Shazeer, M. Stern (2018).",
        {
            "θ": "parameters",
            "G": "gradient of a matrix",
            "R": "mean squares of the rows",
            "C": "mean squares of the columns",
            "ρₜ": "1 − tᵖ, p the power of the decay",
        },
    ),
    "Muon": Description(
        "Momentum with a nearly orthogonal update of every weight matrix.",
        "All directions of a matrix then move by about the same amount, including those in which"
        " the gradient is small. The rule trains weights with two axes. Everything else (biases,"
        " filters of convolutions and, by default, the output layer) is trained by torch's AdamW,"
        " as its author does, at a multiple of the rate of Muon and with the same weight decay."
        " torch computes the orthogonal factor in bfloat16, whatever the precision of the run.",
        (
            r"V \leftarrow \alpha V + (1 - \alpha)\, G",
            r"X = \frac{B}{\|B\|},\quad B = (1 - \alpha)\, G + \alpha V",
            r"X \leftarrow a X + b\, (X X^{\top}) X + c\, (X X^{\top})^2 X",
            r"W \leftarrow (1 - \epsilon \lambda)\, W - \epsilon\, \sqrt{\max(1, m / n)}\, X",
        ),
        "torch.optim.Muon; K. Jordan et al. (2024).",
        {
            "W": "a weight matrix, m × n",
            "G": "its gradient",
            "V": "its momentum, initially 0",
            "X": "nearly orthogonal after the iterations",
        },
    ),
}
"""Class of ``torch.optim`` → texts of its page."""
