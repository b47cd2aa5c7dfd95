"""Batches of pipelines that XLA's programs are to have: checked before they get there.

A step checks what comes from a pipeline by assertions, and XLA leaves these out of its programs.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from types import GeneratorType
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from autoencoders.training import step
from autoencoders.training.keras_hooks import overridden

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel


def checked(model: PhasedModel, x: Any, loop: str) -> Any:
    """The same pipeline; where XLA compiles the steps, one whose batches are checked.

    Args:
        model: The model that reads it.
        x: A `tf.data.Dataset`, a `PyDataset`, a generator; anything else is given back.
        loop: "train" or "test".
    """
    if not model.jit_compile or overridden(model, f"{loop}_step"):  # whose data may be of any form
        return x
    check = partial(_checked, model, loop)
    if isinstance(x, tf.data.Dataset):
        whole = type(x.element_spec) is not tuple  # TensorFlow hands over a tuple's parts.
        return x.map(lambda *parts: check(parts[0] if whole else parts))
    if isinstance(x, keras.utils.PyDataset):
        return _CheckedDataset(x, check)
    return (check(batch) for batch in x) if isinstance(x, GeneratorType) else x


def _checked(model, loop, data):
    """A batch, once it is found to be what the model expects."""
    batch = step.batch_of(model, keras.tree.map_structure(tf.convert_to_tensor, data), loop)
    with tf.control_dependencies([part for part in tf.nest.flatten(batch) if part is not None]):
        return keras.tree.map_structure(tf.identity, data)


class _CheckedDataset(keras.utils.PyDataset):
    """A `PyDataset` whose batches are checked."""

    def __init__(self, dataset: keras.utils.PyDataset, check: Callable[[Any], Any]) -> None:
        super().__init__(dataset.workers, dataset.use_multiprocessing, dataset.max_queue_size)
        self._dataset = dataset
        self._check = check

    @property
    def num_batches(self) -> int | None:
        """As of the one that is checked."""
        return self._dataset.num_batches

    def __getitem__(self, index: int) -> Any:
        return self._check(self._dataset[index])

    def on_epoch_begin(self) -> None:
        """Tell the one that is checked."""
        self._dataset.on_epoch_begin()

    def on_epoch_end(self) -> None:
        """Tell the one that is checked."""
        self._dataset.on_epoch_end()
