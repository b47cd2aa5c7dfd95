"""What a model computes, as graphs that are kept between calls; and its steps as such programs."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Hashable
from typing import Any, NamedTuple

import keras
import tensorflow as tf

from autoencoders import arguments


class Graphs:
    """Graphs that are made once, and anew once the model has other weights.

    A graph reads the weights when it runs, so it outlives training.

    Args:
        model: The model whose weights the graphs read.
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self._kept: dict[Hashable, Any] = {}
        self._weights = []
        self._changes = self._settings = None

    def __len__(self) -> int:
        return len(self._kept)

    def clear(self) -> None:
        """Forget all, when the model may compute something else from now on."""
        self._kept.clear()

    def follow(self) -> bool:
        """Forget all if a switch of the model or of its parts was turned since; and say whether."""
        if self._changes == arguments.changes():
            return False
        self._changes = arguments.changes()
        before, self._settings = self._settings, arguments.settings(self._model)
        if self._settings == before:  # The switch was another model's.
            return False
        self.clear()
        return True

    def refresh(self) -> None:
        """Forget all if the model has other weights or settings than the graphs know."""
        self.follow()
        weights = self._model.weights
        if len(weights) != len(self._weights) or any(map(operator.is_not, weights, self._weights)):
            self.clear()
            self._weights = weights

    def get(self, key: Hashable, make: Callable[[], Any]) -> Any:
        """The graph under this key; `make()` makes it."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]


class Programs(Graphs):
    """A model's steps as loops over chunks."""

    def updates(
        self,
        name: str,
        step: Callable[[Any], Any],
        result: Callable[[], Any],
        spec: tuple[tf.TensorSpec, ...],
        xla: bool = False,
        own_graph: bool = False,
    ) -> Callable[..., Any]:
        """A program that runs a step over a chunk and keeps what it does to the model's variables.

        Args:
            name: What the step is, to find its program again.
            step: Function of a batch.
            result: Function of nothing, for what the program returns in the end.
            spec: What a batch looks like, as `Feed.spec` gives it. XLA needs one with a size.
            xla: Whether XLA compiles the program.
            own_graph: Whether XLA compiles a graph of its own, traced for XLA, in which a few
                operations differ; if not, the graph that also runs without XLA.

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

    def outputs(
        self, name: str, step: Callable[[Any], Any], spec: tuple[tf.TensorSpec, ...], dtype: str
    ) -> Callable[..., Any]:
        """A program that runs a step over a chunk and returns what it gives: rows of this dtype."""

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
        slow_draws: How many of them are drawn in a way that XLA compiles badly for CPUs: those of
            Keras's own layers, and of whatever else calls `keras.random` (see `draws`).
    """

    operations: frozenset[str]
    draws: int = 0
    slow_draws: int = 0


# The operation that makes a generator's key. XLA computes the key anew for every number drawn.
_SELECTS = "StatelessRandomGetKeyCounter"
_DRAWS = (
    "StatelessRandomNormalV2",
    "StatelessRandomUniformV2",
    "StatelessRandomUniformIntV2",
    "StatelessTruncatedNormalV2",
)


def contents(program: Any, batch_size: int) -> Contents:
    """The `Contents` of a program whose batches have this size."""
    operations = frozenset(node.op for nodes in _functions(program) for node in nodes)
    draws = slow_draws = 0
    if operations.isdisjoint(_DRAWS):  # TensorFlow takes its time to add shapes.
        return Contents(operations)
    for nodes in _functions(program, add_shapes=True):
        keys = {node.name for node in nodes if node.op == _SELECTS}
        for node in nodes:
            if node.op in _DRAWS:
                size = _size(node, batch_size)
                draws += size
                slow_draws += size * any(name.partition(":")[0] in keys for name in node.input)
    return Contents(operations, draws, slow_draws)


def _functions(program, **options):
    """The operations of a program and of each function that it calls."""
    definition = program.graph.as_graph_def(**options)
    return [definition.node, *(function.node_def for function in definition.library.function)]


def _size(node, batch_size):
    """How many numbers an operation puts out; a size that is not known is the batch's."""
    shapes = node.attr["_output_shapes"].list.shape
    if not shapes or shapes[0].unknown_rank:
        return batch_size
    return math.prod(batch_size if d.size < 0 else d.size for d in shapes[0].dim)
