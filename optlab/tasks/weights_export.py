"""The weights of a stored run as a file, under the names of a torch module's ``state_dict``."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from optlab.core.errors import InvalidInput
from optlab.core.files import replacing
from optlab.experiment.data_files import experiment_of
from optlab.objective.run_states import MODEL
from optlab.store import RunRecord, Store
from optlab.store.export.writing import check_target


def export_weights(
    store: Store, run: str, path: Path, *, force: bool = False, changed_data: bool = False
) -> tuple[RunRecord, int]:
    """Write the latest weights of a stored run as safetensors.

    The names are those of the layout of its model, as ``optlab export --format python`` writes it:
    ``layers.0.weight``, …, and those of frozen parameters and running statistics. The file's
    metadata has the run, the step and the experiment.

    Args:
        run: its id, or a unique prefix of it. path: of the file. force: whether an existing file is
            replaced. changed_data: whether the files that the run has read may have changed.

    Returns:
        the record of the run, and the step of the weights.

    Raises:
        InvalidInput: there is no such run, it has no weights, or ``path`` is not usable.
        StoreError: the run cannot be read, or the file cannot be written.
    """
    from safetensors.numpy import save_file

    record = store.run(run)
    check_target(path, force=force)
    snapshot = store.latest_snapshot(record.id)
    if snapshot is None:
        raise InvalidInput(f"Run {record.id} has no stored weights; choose another run.", "run")
    experiment = experiment_of(
        record.id, record.experiment, record.identities, changed_data=changed_data
    )
    layout = experiment.layout()
    parts = np.split(snapshot.theta, np.cumsum(layout.sizes)[:-1])
    tensors = {
        spec.name: np.ascontiguousarray(part.reshape(spec.shape))
        for spec, part in zip(layout.parameters, parts, strict=True)
    }
    tensors |= {
        name.removeprefix(MODEL): value
        for name, value in snapshot.state.items()
        if name.startswith(MODEL)
    }
    about = {"run": record.id, "step": str(snapshot.step), "experiment": record.experiment}
    with replacing(path) as temporary:
        save_file(tensors, temporary, metadata=about)
    return record, snapshot.step
