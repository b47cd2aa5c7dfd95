"""The folder of data sets that the environment variable `AUTOENCODERS_DATA_DIR` names."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TypeAlias

import numpy as np

DATA_DIR = "AUTOENCODERS_DATA_DIR"

# Rows and labels for training, and those for testing.
Split: TypeAlias = tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]


def local_file(name: str) -> Path | None:
    """The file `<name>.npz` in that folder; None if there is no such file, or no folder."""
    folder = os.environ.get(DATA_DIR)
    path = Path(folder, f"{name}.npz") if folder else None
    return path if path is not None and path.is_file() else None
