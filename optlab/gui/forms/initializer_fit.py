"""The initializer follows the model: a model of the user's own starts as it is built."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from optlab.core.errors import OptLabError
from optlab.experiment import suited_initializer
from optlab.gui.forms.component_form import ComponentForm


class InitializerFit:
    """Selects the initializer that suits the model, when another model is selected.

    Args:
        model: form of the model.
        initializer: form of the initializer.
    """

    def __init__(self, model: ComponentForm, initializer: ComponentForm) -> None:
        self._model, self._initializer = model, initializer
        self._fitted_model = ""

    def accept(self, model: str) -> None:
        """Keep the initializer that comes with this model, as an experiment is shown."""
        self._fitted_model = model

    def fit(self, tables: Mapping[str, Any]) -> None:
        """Select the initializer for the model of an experiment's tables, if it is another one.

        An initializer that cannot be determined stays: the check that follows shows why.
        """
        if self._model.errors() or self._initializer.errors():
            return
        if self._model.name() == self._fitted_model:
            return
        self._fitted_model = self._model.name()
        try:
            fitted = suited_initializer(tables)
        except OptLabError:
            return
        if fitted["name"] != self._initializer.name():
            self._initializer.set_values(fitted)
