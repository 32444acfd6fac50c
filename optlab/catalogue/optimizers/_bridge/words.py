"""What the pages say of torch's own optimizers: a sentence, an explanation, the rule, its symbols
and where it comes from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True)
class About:
    """The words of one page. ``rule``: LaTeX lines."""

    sentence: str
    explanation: str
    rule: tuple[str, ...]
    source: str
    symbols: Mapping[str, str] = field(default_factory=dict)


_THETA = {
    "θ": "parameters",
    "g": "gradient of the objective on the batch",
    "t": "number of the step, from 1",
}
_MOMENTS = {**_THETA, "s": "first moment, 0 at first", "r": "second moment, 0 at first"}
_S = r"s \leftarrow \rho_1 s + (1 - \rho_1)\, g"
_R = r"r \leftarrow \rho_2 r + (1 - \rho_2)\, g \odot g"
_HATS = r"\hat{s} = \frac{s}{1 - \rho_1^t},\quad \hat{r} = \frac{r}{1 - \rho_2^t}"
_STEP = r"\theta \leftarrow \theta - \epsilon\, \frac{\hat{s}}{\sqrt{\hat{r}} + \delta}"
_PENALTY = r"g \leftarrow g + \lambda \theta"

UNFIT: Mapping[str, str] = {
    "SparseAdam": "torch's SparseAdam takes sparse gradients only, and the models here have dense ones; use torch.adam.",
    "LBFGS": "torch's LBFGS evaluates the loss as often as it likes within a step and keeps lists of changing length, so it is no choice here; use lbfgs, "
    "the catalogue's own.",
}
"""Classes of torch that are no components, and why."""

ABOUT: Mapping[str, About] = {
    "SGD": About(
        "Gradient descent with momentum in torch's form.",
        "The rate multiplies the velocity after it was made, so that a schedule rescales old gradients, too; the catalogue's own "
        "momentum follows the notes, where the rate is folded into the velocity. The two part where the rate changes. The first "
        "velocity is the gradient itself, without dampening.",
        (
            _PENALTY,
            r"v \leftarrow \alpha v + (1 - \tau)\, g",
            r"\theta \leftarrow \theta - \epsilon v",
        ),
        "torch.optim.SGD; I. Sutskever et al. (2013).",
        {**_THETA, "v": "velocity", "τ": "dampening"},
    ),
    "Adam": About(
        "Adam as torch computes it, with weight decay and AMSGrad as switches.",
        "Without these it is the catalogue's own Adam.",
        (_PENALTY, _S, _R, _HATS, _STEP),
        "torch.optim.Adam; D. Kingma, J. Ba (2015).",
        _MOMENTS,
    ),
    "AdamW": About(
        "Adam with weight decay that acts on the parameters directly.",
        "Decay that is added to the gradient would be divided by the second moment like the rest of it; here every value shrinks by the same share.",
        (r"\theta \leftarrow (1 - \epsilon \lambda)\, \theta", _S, _R, _HATS, _STEP),
        "torch.optim.AdamW; I. Loshchilov, F. Hutter (2019).",
        _MOMENTS,
    ),
    "Adamax": About(
        "Adam with the largest recent gradient in place of the root mean square.",
        "The largest size fades by ρ₂ a step; it needs no correction of a bias.",
        (
            _PENALTY,
            _S,
            r"u \leftarrow \max(\rho_2 u, |g| + \delta)",
            r"\theta \leftarrow \theta - \frac{\epsilon}{1 - \rho_1^t}\, \frac{s}{u}",
        ),
        "torch.optim.Adamax; D. Kingma, J. Ba (2015), section 7.1.",
        {**_MOMENTS, "u": "largest recent size of the gradient, 0 at first"},
    ),
    "NAdam": About(
        "Adam with Nesterov's look ahead in place of plain momentum.",
        "The momentum grows with the steps towards ρ₁; the step takes the momentum of the step to come.",
        (
            _PENALTY,
            r"\mu_t = \rho_1 \left(1 - \frac{1}{2} \cdot 0.96^{t \psi}\right)",
            _S,
            _R,
            r"\hat{s} = \frac{\mu_{t+1}\, s}{1 - \prod_{i=1}^{t+1} \mu_i} + \frac{(1 - \mu_t)\, g}{1 - \prod_{i=1}^{t} \mu_i}",
            r"\hat{r} = \frac{r}{1 - \rho_2^t}",
            _STEP,
        ),
        "torch.optim.NAdam; T. Dozat (2016).",
        {**_MOMENTS, "μ": "momentum of a step"},
    ),
    "RAdam": About(
        "Adam whose adaptive division waits until the second moment can be trusted.",
        "In the first steps the variance of the division is not even finite: until the length ℓ of the second moment's memory is "
        "above 5 the step is that of momentum, and from then on it is scaled by the factor u.",
        (
            _PENALTY,
            _S,
            _R,
            r"\ell_{\infty} = \frac{2}{1 - \rho_2} - 1,\quad \ell_t = \ell_{\infty} - \frac{2 t \rho_2^t}{1 - \rho_2^t}",
            r"u = \sqrt{\frac{(\ell_t - 4)(\ell_t - 2)\, \ell_{\infty}}{(\ell_{\infty} - 4)(\ell_{\infty} - 2)\, \ell_t}}",
            r"\theta \leftarrow \theta - \epsilon\, u\, \hat{s}\, \frac{\sqrt{1 - \rho_2^t}}{\sqrt{r} + \delta}\quad \text{if}\ \ell_t > 5",
            r"\theta \leftarrow \theta - \epsilon\, \hat{s}\quad \text{otherwise}",
        ),
        "torch.optim.RAdam; L. Liu et al. (2020).",
        {**_MOMENTS, "ŝ": "s / (1 − ρ₁ᵗ)", "ℓ": "length of the second moment's memory, in steps"},
    ),
    "Adagrad": About(
        "Adagrad as torch computes it, with a rate that may fall and a sum that may start above zero.",
        "Every value's steps shrink with the root of all its squared gradients so far.",
        (
            _PENALTY,
            r"r \leftarrow r + g \odot g",
            r"\theta \leftarrow \theta - \frac{\epsilon}{1 + (t - 1)\, \eta}\, \frac{g}{\sqrt{r} + \delta}",
        ),
        "torch.optim.Adagrad; J. Duchi et al. (2011).",
        {**_THETA, "r": "sum of the squared gradients", "η": "decay of the rate"},
    ),
    "Adadelta": About(
        "Steps measured in units of earlier steps, as torch computes them.",
        "The ratio of two running root mean squares takes the place of a rate; the learning rate multiplies it.",
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
            "r": "mean of the squared gradients, 0 at first",
            "u": "mean of the squared steps, 0 at first",
        },
    ),
    "RMSprop": About(
        "RMSProp as torch computes it, with momentum and centering.",
        "The small constant stands outside of the root, where the notes have it inside; momentum acts on the divided gradient.",
        (
            _PENALTY,
            r"r \leftarrow \rho r + (1 - \rho)\, g \odot g",
            r"v \leftarrow \alpha v + \frac{g}{\sqrt{r} + \delta}",
            r"\theta \leftarrow \theta - \epsilon v",
        ),
        "torch.optim.RMSprop; G. Hinton (2012).",
        {**_THETA, "r": "mean of the squared gradients, 0 at first", "v": "velocity, 0 at first"},
    ),
    "Rprop": About(
        "Steps whose sizes follow the gradient's signs alone.",
        "Where a value's gradient keeps its sign its step grows, where it changes the step shrinks and the value waits. Meant for "
        "full batches: the noise of small ones changes signs by itself.",
        (
            r"\Delta \leftarrow \Delta\, \eta_+\quad \text{if}\ g\, g' > 0",
            r"\Delta \leftarrow \Delta\, \eta_-,\quad g \leftarrow 0\quad \text{if}\ g\, g' < 0",
            r"\theta \leftarrow \theta - \Delta \odot \mathrm{sign}(g)",
        ),
        "torch.optim.Rprop; M. Riedmiller, H. Braun (1993).",
        {
            **_THETA,
            "g'": "gradient of the step before",
            "Δ": "size of each value's step, ε at first",
        },
    ),
    "ASGD": About(
        "Gradient descent with a falling rate, and an average of its iterates beside it.",
        "The average is kept by torch and changes nothing of the iterates, which are what is trained and measured here; for an "
        "average that is evaluated use the section averaging.",
        (
            _PENALTY,
            r"\theta \leftarrow (1 - \lambda \eta)\, \theta - \eta g",
            r"\eta \leftarrow \frac{\epsilon}{(1 + \lambda \epsilon t)^{\alpha}}",
        ),
        "torch.optim.ASGD; B. Polyak, A. Juditsky (1992).",
        {**_THETA, "η": "rate of the step, ε at first", "α": "power of the decay"},
    ),
    "Adafactor": About(
        "Adaptive rates from the sums of squares over rows and columns alone, so that the memory is small.",
        "A matrix's second moment is taken to be the product of its row and column sums; the step is relative to the size of the "
        "tensor, and too large updates are scaled down. Vectors keep their second moment whole.",
        (
            r"R \leftarrow \rho_t R + (1 - \rho_t)\, \frac{1}{n} \sum_{j} G_{i,j}^2",
            r"C \leftarrow \rho_t C + (1 - \rho_t)\, \frac{1}{m} \sum_{i} G_{i,j}^2",
            r"U = \frac{G}{\sqrt{R C / \mathrm{mean}(R)}}",
            r"\theta \leftarrow \theta - \max(\delta_2, \|\theta\|_{\mathrm{rms}})\, \min(\epsilon, t^{-1/2})\, \frac{U}{\max(1, \|U\|_{\mathrm{rms}} / d)}",
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
    "Muon": About(
        "Momentum whose update of every weight matrix is made nearly orthogonal.",
        "All directions of a matrix then move by about the same amount, also those in which the gradient is small. The rule is "
        "for matrices: the weights that have two axes are trained by it, and everything else (biases, filters of convolutions, "
        "and unless asked for otherwise the output layer) by torch's AdamW, as its author does, at a rate that is a multiple of "
        "Muon's and with the same weight decay. torch computes the orthogonal factor in bfloat16, whatever the precision of the "
        "run.",
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
            "V": "its momentum, 0 at first",
            "X": "nearly orthogonal after the iterations",
        },
    ),
}
"""Class of ``torch.optim`` → what its page says."""
