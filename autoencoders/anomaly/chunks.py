"""Rows in chunks of bounded memory, from arrays (in memory or mapped from a file) and pipelines."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import numpy as np

_CHUNK_BYTES = 2**25
_FEWEST, _MOST = 32, 2**16


def is_pipeline(x: Any) -> bool:
    """Whether x is a `tf.data.Dataset`."""
    return hasattr(x, "element_spec")


def is_mapped(x: Any) -> bool:
    """Whether an array lies in a file: then it may be larger than memory."""
    while isinstance(x, np.ndarray):
        if isinstance(x, np.memmap):
            return True
        x = x.base
    return False


def chunks(x: np.ndarray, indices: np.ndarray | None = None) -> Iterator[np.ndarray]:
    """The rows of an array, or those at `indices`, in order, some at a time."""
    row_bytes = max(8 * int(np.prod(x.shape[1:])), 1)
    size = int(np.clip(_CHUNK_BYTES // row_bytes, _FEWEST, _MOST))
    for start in range(0, len(x) if indices is None else len(indices), size):
        part = slice(start, start + size)
        yield x[part] if indices is None else x[indices[part]]


def batches(pipeline: Any) -> Iterator[np.ndarray]:
    """The batches of a pipeline of rows (or of tuples that begin with them), as finite arrays.

    Small batches are put together.

    Raises:
        ValueError: a pipeline without end, or batches that are not finite numbers.
    """
    if int(pipeline.cardinality()) == -1:
        raise ValueError("The pipeline never ends: leave out `repeat()`, or `take` some of it.")
    waiting, size, seen = [], 0, 0
    for element in pipeline.as_numpy_iterator():
        batch = np.asarray(element[0] if isinstance(element, tuple) else element)
        if batch.dtype.kind not in "fiub" or batch.ndim < 2:
            raise ValueError(
                "A pipeline must give batches of rows, numbers of shape (batch, ...); got "
                f"{batch.dtype} of shape {batch.shape}."
            )
        if not np.isfinite(batch).all():
            raise ValueError(
                f"Rows {seen} to {seen + len(batch) - 1} of the pipeline hold NaN or infinity. "
                "Drop or impute such rows."
            )
        seen += len(batch)
        waiting.append(batch)
        size += batch.nbytes
        if sum(map(len, waiting)) >= 1024 or size >= _CHUNK_BYTES:
            yield np.concatenate(waiting)
            waiting, size = [], 0
    if waiting:
        yield np.concatenate(waiting)


def spool(parts: Iterable[np.ndarray], folder: str | Path) -> np.ndarray:
    """Write chunks of rows to a file in `folder`; the array that it holds, mapped.

    Raises:
        ValueError: chunks of different shapes, or none.
    """
    count, shape, dtype = 0, None, None
    path = Path(folder) / f"{len(list(Path(folder).iterdir()))}.rows"
    with open(path, "wb") as file:
        for part in parts:
            dtype = part.dtype if dtype is None else dtype
            if shape not in (None, part.shape[1:]):
                raise ValueError(f"Rows of shape {part.shape[1:]} follow rows of shape {shape}.")
            shape = part.shape[1:]
            count += len(part)
            np.ascontiguousarray(part, dtype).tofile(file)
    if shape is None or dtype is None or not count:
        raise ValueError("There are no rows to fit on.")
    return np.memmap(path, dtype, mode="r", shape=(count, *shape))
