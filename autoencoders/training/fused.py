"""Many steps in one program.

A step of a small model spends most of its time around its arithmetic: in Python, in the input
pipeline, in launching a program. Here the arrays stay on the device, a chunk of whole batches is
gathered at a time, and one compiled program loops the model's step over the chunk. Keras's own
loop goes on around it as it does with `steps_per_execution`. (Gathering inside the XLA program is
far slower on a CPU, where XLA copies the whole data for every step.)

However many of a chunk's steps a launch runs, it is the same program that runs them: how often
Keras's loop looks in does not change a single bit.
"""

import math
from typing import NamedTuple

import keras
import numpy as np
import tensorflow as tf

from autoencoders.training.graphs import Graphs

# A chunk is large enough that launching costs next to nothing, small enough to stay in cache and
# to let the progress bar move.
_CHUNK_BYTES = 2**23
_CHUNK_STEPS = 128

# Programs for one batch size are faster than programs for any, but the rest of the rows then needs
# another, which takes some tenths of a second to trace: nothing beside this many steps.
_MANY_STEPS = 300


class Feed:
    """Arrays on the device, handed out as chunks of whole batches.

    Args:
        arrays: Tuple of arrays with the same number of rows.
        order: The `shuffle.Order` of those rows.
        steps: How many of an epoch's batches are meant; None for all.
    """

    def __init__(self, arrays, order, steps=None):
        self._order = order
        limits = (order.steps, steps, keras.config.max_steps_per_epoch())
        self.steps = min(limit for limit in limits if limit)
        self._chunk = None
        source = DeviceRows if tf.config.list_logical_devices("GPU") else HostRows
        different = {id(array): array for array in arrays}  # the target may be the input
        self._rows = {key: source(array) for key, array in different.items()}
        self._parts = [id(array) for array in arrays]
        row_bytes = sum(array.nbytes // len(array) for array in different.values())
        batch_bytes = max(row_bytes * order.batch_size, 1)
        most = int(np.clip(_CHUNK_BYTES // batch_bytes, 1, _CHUNK_STEPS))
        # Of one length: Keras's progress bar counts whole launches, and XLA pads the last one.
        self.chunk_steps = math.ceil(self.steps / math.ceil(self.steps / most))

    @property
    def batch_size(self):
        """Rows in a full batch."""
        return self._order.batch_size

    def program_size(self, xla=False):
        """The batch size of the program for full batches; None for the program for any size."""
        sized = xla or self._order.even or self.steps >= _MANY_STEPS
        return self.batch_size if sized else None

    def spec(self, batch_size):
        """What a batch looks like, of this size or (None) of any: a tuple of `tf.TensorSpec`."""
        parts = (self._rows[key] for key in self._parts)
        return tuple(tf.TensorSpec((batch_size, *rows.row_shape), rows.dtype) for rows in parts)

    def keras_steps(self):
        """What Keras's loop iterates over in place of the batches: their numbers."""
        return tf.data.Dataset.range(self.steps)

    def begin(self, xla=False):
        """Begin an epoch, whose programs for full batches XLA compiles or not.

        XLA makes a program for every shape, so it gets chunks of one shape only.
        """
        self._xla = xla
        self._indices = None  # looked up at the first step: a callback may load a model until then
        self._position = self._chunk_begin = self._chunk_end = 0

    def without_xla(self):
        """Go on with the epoch in programs that XLA does not compile."""
        self._xla = False

    def take(self, steps):
        """The next `steps` batches.

        Yields:
            `(size, xla)`, the program it is for, and `(chunk, begin, end)`, what that takes: a
            tuple of tensors `(batches, rows, ...)` and the span of batches in it that are meant.
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
        self._chunk = None  # before the next one needs memory
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
    """Rows of an array in the host's memory, where a CPU's programs read them: no copy of it all.

    Args:
        array: NumPy array.
    """

    def __init__(self, array):
        self._array = array
        self.dtype, self.row_shape = array.dtype, array.shape[1:]

    def batches(self, indices, size):
        """The rows of these indices, as a tensor `(batches, size, ...)`."""
        part = _aligned((len(indices), *self.row_shape), self.dtype)
        if self._array.flags.c_contiguous:
            np.take(self._array, indices, axis=0, out=part, mode="clip")  # "raise" would copy first
        else:  # of which `take` would first copy all
            part[...] = self._array[indices]
        part = part.reshape(-1, size, *self.row_shape)
        if self.dtype.kind != "f":  # bfloat16 is not NumPy's own
            return tf.convert_to_tensor(part)
        return tf.experimental.dlpack.from_dlpack(part.__dlpack__())  # without another copy


class DeviceRows:
    """Rows of an array in an accelerator's memory, as in `HostRows`."""

    def __init__(self, array):
        self.dtype, self.row_shape = array.dtype, array.shape[1:]
        try:
            self._tensor = tf.convert_to_tensor(array)
        except tf.errors.ResourceExhaustedError:  # it has less memory than the host
            with tf.device("cpu"):
                self._tensor = tf.convert_to_tensor(array)

    def batches(self, indices, size):
        """The rows of these indices, as a tensor `(batches, size, ...)`."""
        return tf.reshape(tf.gather(self._tensor, indices), (-1, size, *self.row_shape))


def _aligned(shape, dtype):
    """An empty array that starts where TensorFlow wants a tensor to: at a multiple of 64 bytes."""
    size = int(np.prod(shape)) * dtype.itemsize
    memory = np.empty(size + 64, "uint8")
    start = -memory.ctypes.data % 64
    return memory[start : start + size].view(dtype).reshape(shape)


class Programs(Graphs):
    """A model's steps as loops over chunks."""

    def updates(self, name, step, result, spec, xla=False, own_graph=False):
        """A program that runs a step over a chunk, for what it does to the model's variables.

        Args:
            name: What the step is, to find its program again.
            step: Function of a batch.
            result: Function of nothing, for what the program returns in the end.
            spec: The batch's, as `Feed.spec` gives it. XLA wants one with a size.
            xla: Whether XLA compiles the program.
            own_graph: Whether that is of a step traced for XLA, which does a few operations
                otherwise; if not, it is of the graph that runs without XLA as well.

        Returns:
            Concrete function of a chunk and the span of batches in it.
        """

        def loop(chunk, begin, end):
            def body(number):
                step(tuple(part[number] for part in chunk))
                return (number + 1,)

            tf.while_loop(lambda number: number < end, body, (begin,))
            return result()

        if not (xla and own_graph):
            loop = self._program((name, spec), loop, spec)
        if not xla:
            return loop
        return self._program((name, spec, "xla"), loop, spec, jit_compile=True)

    def outputs(self, name, step, spec, dtype):
        """A program that runs a step over a chunk, for what it returns: rows of this dtype."""

        def loop(chunk, begin, end):
            chunk = tuple(part[begin:end] for part in chunk)
            rows = tf.map_fn(step, chunk, fn_output_signature=dtype, parallel_iterations=1)
            return tf.reshape(rows, tf.concat([[-1], tf.shape(rows)[2:]], axis=0))

        return self._program((name, spec), loop, spec)

    def _program(self, key, loop, spec, jit_compile=None):
        def make():
            chunk = tuple(tf.TensorSpec((None, *part.shape), part.dtype) for part in spec)
            number = tf.TensorSpec((), tf.int32)
            program = tf.function(loop, jit_compile=jit_compile, autograph=False)
            return program.get_concrete_function(chunk, number, number)

        return self.get(key, make)


class Contents(NamedTuple):
    """What a program is made of.

    Attributes:
        operations: The types of its operations, those of functions that it calls included.
        draws: How many uniform and normal random numbers a step draws.
        slow_draws: How many of them are drawn in a way that XLA compiles badly for CPUs. Keras's
            own layers do, and whatever else calls `keras.random`; see `draws`.
    """

    operations: frozenset
    draws: int = 0
    slow_draws: int = 0


# What makes the key of a generator that TensorFlow selects. XLA computes it anew for every number.
_SELECTS = "StatelessRandomGetKeyCounter"
_DRAWS = (
    "StatelessRandomNormalV2",
    "StatelessRandomUniformV2",
    "StatelessRandomUniformIntV2",
    "StatelessTruncatedNormalV2",
)


def contents(program, batch_size):
    """The `Contents` of a program whose batches have this size."""
    definition = program.graph.as_graph_def(add_shapes=True)
    functions = [definition.node, *(function.node_def for function in definition.library.function)]
    operations, draws, slow_draws = set(), 0, 0
    for nodes in functions:
        operations.update(node.op for node in nodes)
        keys = {node.name for node in nodes if node.op == _SELECTS}
        for node in nodes:
            if node.op in _DRAWS:
                size = _size(node, batch_size)
                draws += size
                slow_draws += size * any(name.partition(":")[0] in keys for name in node.input)
    return Contents(frozenset(operations), draws, slow_draws)


def _size(node, batch_size):
    """How many numbers an operation puts out; a size that is not known is the batch's."""
    shapes = node.attr["_output_shapes"].list.shape
    if not shapes or shapes[0].unknown_rank:
        return batch_size
    return math.prod(batch_size if d.size < 0 else d.size for d in shapes[0].dim)
