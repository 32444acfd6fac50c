"""As built: the parameters that the constructor of a model sets."""

from __future__ import annotations

from typing import ClassVar

from optlab.catalogue.initializers.base import InitializationContext, Start
from optlab.core.layout import Layout
from optlab.core.lazy import torch


class AsBuilt(Start):
    """The parameters that the constructor of the model sets, as in a script with torch.

    Only models that are built by a constructor have such parameters: those of your own, of which it
    is the default. A learned temperature that the constructor sets to 1 starts at 1, and layers
    start as torch draws them. Each run builds its model once, with torch's random numbers seeded by
    the seed of the run, so runs with different seeds start differently.

    Other initializers set the matrices and biases of such a model too, and leave what is neither as
    it is built.
    """

    name: ClassVar[str] = "as_built"
    label: ClassVar[str] = "As built"
    sort_order: ClassVar[int] = 40
    from_constructor: ClassVar[bool] = True
    source: ClassVar[str] = "The constructor of the model."
    differences: ClassVar[str] = (
        "The same as building the module in torch after torch.manual_seed, with a seed that is drawn"
        " from the seed of the run."
    )

    def start(
        self,
        layout: Layout,
        generator: torch.Generator,
        context: InitializationContext | None = None,
    ) -> torch.Tensor:
        if context is None or context.built is None:
            raise ValueError("a start as built needs the model")
        return context.built(generator)
