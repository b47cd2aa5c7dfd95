"""Data sets of series."""

import os
import zipfile
from pathlib import Path

import numpy as np

from autoencoders.datasets.images import DATA_DIR


def ecg5000():
    """Heartbeats, 140 steps each, z-scored: the UCR archive's 500 for training, 4,500 for testing.

    Labels are 0 for normal beats, 1 for others. The file `ecg5000.npz` in the folder that
    `AUTOENCODERS_DATA_DIR` names holds the arrays `x` `(5000, 140)`, `normal` and `ucr_train`
    `(5000,)`.

    Raises:
        RuntimeError: there is no such file.
        ValueError: the file holds something else.
    """
    path = Path(os.environ.get(DATA_DIR, ""), "ecg5000.npz")
    if not os.environ.get(DATA_DIR) or not path.is_file():
        raise RuntimeError(
            f"ecg5000 has no download: put ecg5000.npz into a folder and set {DATA_DIR} to it."
        )
    try:
        with np.load(path, allow_pickle=False) as file:
            x, normal, train = (file[name] for name in ("x", "normal", "ucr_train"))
    except (KeyError, ValueError, OSError, zipfile.BadZipFile) as error:
        raise ValueError(
            f"{path} must be an .npz file with the arrays x, normal and ucr_train: {error}"
        ) from error
    x, y = x.astype("float32")[..., np.newaxis], (~normal.astype(bool)).astype("int64")
    train = train.astype(bool)
    return (x[train], y[train]), (x[~train], y[~train])
