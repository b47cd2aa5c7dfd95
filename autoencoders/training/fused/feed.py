"""Arrays on the device, handed out as chunks of whole batches."""

import math
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from autoencoders.training.shuffle import Order

# A chunk is so large that launching it costs next to nothing, and so small that it stays in cache
# and that the progress bar moves.
_CHUNK_BYTES = 2**23
_CHUNK_STEPS = 128

# A program for one batch size is faster than a program for any. But the last batch, of the rows
# that are left over, then needs a second program, which takes some tenths of a second to trace. In
# an epoch of this many steps that time does not matter.
_MANY_STEPS = 300


class Feed:
    """Arrays on the device, handed out as chunks of whole batches.

    Args:
        arrays: Tuple of arrays with the same number of rows.
        order: The order of those rows.
        steps: How many of an epoch's batches to hand out; None for all.
    """

    def __init__(
        self, arrays: tuple[np.ndarray, ...], order: Order, steps: int | None = None
    ) -> None:
        self._order = order
        limits = (order.steps, steps, keras.config.max_steps_per_epoch())
        self.steps: int = min(limit for limit in limits if limit)
        self._chunk = None
        source = DeviceRows if tf.config.list_logical_devices("GPU") else HostRows
        # An array that is both input and target is held once.
        different = {id(array): array for array in arrays}
        self._rows = {key: source(array) for key, array in different.items()}
        self._parts = [id(array) for array in arrays]
        row_bytes = sum(array.nbytes // len(array) for array in different.values())
        batch_bytes = max(row_bytes * order.batch_size, 1)
        most = int(np.clip(_CHUNK_BYTES // batch_bytes, 1, _CHUNK_STEPS))
        # All chunks but the last have one length, and the last is hardly shorter: Keras's progress
        # bar counts whole launches, and for XLA the last chunk is padded.
        self.chunk_steps: int = math.ceil(self.steps / math.ceil(self.steps / most))

    @property
    def batch_size(self) -> int:
        """Rows in a full batch."""
        return self._order.batch_size

    def program_size(self, xla: bool = False) -> int | None:
        """The batch size of the program for full batches; None for the program for any size."""
        sized = xla or self._order.even or self.steps >= _MANY_STEPS
        return self.batch_size if sized else None

    def spec(self, batch_size: int | None) -> tuple[tf.TensorSpec, ...]:
        """What a batch looks like, of this size or (None) of any: a tuple of `tf.TensorSpec`."""
        parts = (self._rows[key] for key in self._parts)
        return tuple(tf.TensorSpec((batch_size, *rows.row_shape), rows.dtype) for rows in parts)

    def keras_steps(self) -> tf.data.Dataset[Any]:
        """What Keras's loop iterates over in place of the batches: their numbers."""
        return tf.data.Dataset.range(self.steps)

    def begin(self, xla: bool = False) -> None:
        """Begin an epoch, whose programs for full batches XLA compiles or not.

        XLA makes a program for every shape, so it gets chunks of one shape only.
        """
        self._xla = xla
        # The order is looked up at the first step: until then a callback may load a saved model.
        self._indices: Any = None
        self._position = self._chunk_begin = self._chunk_end = 0

    def without_xla(self) -> None:
        """Go on with the epoch in programs that XLA does not compile."""
        self._xla = False

    def take(self, steps: int) -> Iterator[tuple[tuple[int | None, bool], tuple[Any, ...]]]:
        """The next `steps` batches.

        Yields:
            `(size, xla)`, which program is to run, and `(chunk, begin, end)`, its arguments: a
            tuple of tensors `(batches, rows, ...)`, and the span of the chunk's batches to run.
        """
        if self._indices is None:
            self._indices, self._bounds = self._order.epoch()
            self._sizes = np.diff(self._bounds)
        stop = min(self._position + steps, self.steps)
        while self._position < stop:
            if self._position == self._chunk_end:
                self._load()
            begin, end = self._position, min(stop, self._chunk_end)
            self._position = end
            full = self._sizes[begin] == self.batch_size
            program = (self.program_size(self._xla), self._xla) if full else (None, False)
            span = (tf.constant(at - self._chunk_begin, tf.int32) for at in (begin, end))
            yield program, (self._chunk, *span)
        if self._position == self.steps:
            self._chunk = None

    def _load(self):
        self._chunk = None  # This chunk's memory is free before the next chunk needs some.
        begin = self._chunk_end
        size = self._sizes[begin]
        alike = self._sizes[begin : begin + self.chunk_steps] == size
        count = len(alike) if alike.all() else int(alike.argmin())
        indices = self._indices[self._bounds[begin] : self._bounds[begin + count]]
        missing = (self.chunk_steps - count) * size
        if self._xla and missing and size == self.batch_size:
            indices = np.concatenate([indices, np.zeros(missing, indices.dtype)])
        chunk = {key: rows.batches(indices, size) for key, rows in self._rows.items()}
        self._chunk = tuple(chunk[key] for key in self._parts)
        self._chunk_begin, self._chunk_end = begin, begin + count


class HostRows:
    """Rows of an array in the host's memory, where a CPU's programs read them without a copy of it.

    Args:
        array: NumPy array.
    """

    def __init__(self, array: np.ndarray) -> None:
        self._array = array
        self.dtype: np.dtype[Any] = array.dtype
        self.row_shape: tuple[int, ...] = array.shape[1:]

    def batches(self, indices: np.ndarray, size: int) -> tf.Tensor:
        """The rows of these indices, as a tensor `(batches, size, ...)`."""
        part = _aligned((len(indices), *self.row_shape), self.dtype)
        if self._array.flags.c_contiguous:
            # With mode "raise" NumPy would gather into a buffer first.
            np.take(self._array, indices, axis=0, out=part, mode="clip")
        else:  # NumPy's `take` would copy the whole array first.
            part[...] = self._array[indices]
        part = part.reshape(-1, size, *self.row_shape)
        if self.dtype.kind != "f":  # DLPack does not know bfloat16, which is not NumPy's own.
            return tf.convert_to_tensor(part)
        return tf.experimental.dlpack.from_dlpack(part.__dlpack__())  # This makes no copy.


class DeviceRows:
    """Rows of an array in an accelerator's memory, as in `HostRows`."""

    def __init__(self, array: np.ndarray) -> None:
        self.dtype: np.dtype[Any] = array.dtype
        self.row_shape: tuple[int, ...] = array.shape[1:]
        try:
            self._tensor = tf.convert_to_tensor(array)
        except tf.errors.ResourceExhaustedError:  # The device has less memory than the host.
            with tf.device("cpu"):
                self._tensor = tf.convert_to_tensor(array)

    def batches(self, indices: np.ndarray, size: int) -> tf.Tensor:
        """The rows of these indices, as a tensor `(batches, size, ...)`."""
        return tf.reshape(tf.gather(self._tensor, indices), (-1, size, *self.row_shape))


def _aligned(shape, dtype):
    """An empty array that starts where TensorFlow wants a tensor to: at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(size + 64, "uint8")
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)
