"""Data sets of series."""

from __future__ import annotations

import numpy as np

from autoencoders import files
from autoencoders.datasets.local import DATA_DIR, Split, local_file


def ecg5000() -> Split:
    """Heartbeats, 140 steps each, z-scored: the UCR archive's 500 for training, 4,500 for testing.

    Labels are 0 for normal beats, 1 for others. The file `ecg5000.npz` in the folder that
    `AUTOENCODERS_DATA_DIR` names holds the arrays `x` `(5000, 140)`, `normal` and `ucr_train`
    `(5000,)`.

    Raises:
        RuntimeError: there is no such file.
        ValueError: the file holds something else.
    """
    path = local_file("ecg5000")
    if path is None:
        raise RuntimeError(
            f"ecg5000 has no download: put ecg5000.npz into a folder and set {DATA_DIR} to it."
        )
    x, normal, train = files.read_arrays(path, "x", "normal", "ucr_train")
    x, y = x.astype("float32")[..., np.newaxis], (~normal.astype(bool)).astype("int64")
    train = train.astype(bool)
    return (x[train], y[train]), (x[~train], y[~train])
