"""Programs of many steps, in the place of what Keras's loops launch for every batch."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from functools import partial
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
import tensorflow as tf

from autoencoders.training.fused import choice
from autoencoders.training.fused.feed import Feed
from autoencoders.training.fused.programs import Programs, contents
from autoencoders.training.shuffle import Order

if TYPE_CHECKING:
    from autoencoders.training.phased_model import PhasedModel


class Launch(NamedTuple):
    """What a loop of Keras's is to launch, each time it asks for `steps` more batches.

    `feed` is the data of a fused loop, None where Keras's function runs on what Keras hands it.
    `checked` says whether the data was checked whole before, so that no step need do it. `loop` is
    "train", "test" or "predict", and None where none is under way.
    """

    steps: int
    feed: Feed | None = None
    checked: bool = False
    loop: str | None = None


# The launches under way, by model and loop. A loop may run inside a callback of another loop, or
# beside it in another thread: each loop sees its own launch.
_UNDER_WAY: ContextVar[Mapping[Any, Launch]] = ContextVar(
    "launches under way", default=MappingProxyType({})
)


class Launches:
    """What `fit`, `evaluate` and `predict` of a model launch.

    Args:
        model: A `keras.Model` with `phases`.
        base: The class whose steps these programs run. If the model's class has another step,
            Keras's loop runs it.

    Attributes:
        training_loop: How the last `fit` ran; None before the first.
        jit_compile, steps_per_execution: As `compile` was given them.
    """

    def __init__(self, model: PhasedModel, base: type) -> None:
        self._model = model
        self._base = base
        self._programs = Programs(model)
        self._keras_functions = {}
        self.configure("auto", None)

    def configure(self, jit_compile: bool | str, steps_per_execution: int | None) -> None:
        """Take these arguments of `compile`, and forget what went before."""
        self.jit_compile = jit_compile
        self.steps_per_execution = steps_per_execution
        self.training_loop: choice.TrainingLoop | None = None
        self.forget()

    def forget(self) -> None:
        """Forget what was traced."""
        self._programs.clear()
        self._keras_functions.clear()

    def follow(self) -> None:
        """Forget what was traced if a switch of the model was turned since."""
        if self._programs.follow():
            self._keras_functions.clear()
            self._model.follow_settings()

    def feed(
        self, loop: str, arrays: tuple[np.ndarray, ...], order: Order, steps: int | None = None
    ) -> Feed | None:
        """A `Feed` for `loop` ("train", "test" or "predict"), or None where Keras's runs."""
        model, base = self._model, self._base
        hooks = (f"{loop}_step", f"make_{loop}_function")
        keras_runs_it = (
            self.steps_per_execution is not None
            or model.run_eagerly
            or tf.config.functions_run_eagerly()
            or model._distribute_strategy is not None
            or tf.distribute.has_strategy()
            or any(choice.replaced(model, name, base) for name in hooks)
            or model.logs_of_its_own
        )
        return None if keras_runs_it else Feed(arrays, order, steps)

    @contextmanager
    def under_way(
        self, loop: str, feed: Feed | None = None, callbacks: Any = None, checked: bool = False
    ) -> Iterator[Launch]:
        """Within it, `loop` launches programs on `feed`, of as many steps as `callbacks` allow.

        Without a feed it launches Keras's own function, as often as `compile` was told.

        Yields:
            The `Launch`.
        """
        launch = Launch(self.steps_per_execution or 1, None, checked, loop)
        self.follow()
        if feed is not None:
            self._programs.refresh()
            steps = 1 if choice.every_batch(callbacks) else feed.chunk_steps
            launch = Launch(steps, feed, True, loop)
            if loop != "train":  # In training each epoch begins the feed.
                feed.begin(xla=self.jit_compile is True and loop == "test")
        before = _UNDER_WAY.get()
        token = _UNDER_WAY.set({**before, (id(self), loop): launch, id(self): launch})
        try:
            yield launch
        finally:
            _UNDER_WAY.reset(token)

    def current(self, loop: str | None = None) -> Launch:
        """The `Launch` of `loop` that is under way here, or of whichever loop is innermost."""
        key = id(self) if loop is None else (id(self), loop)
        return _UNDER_WAY.get().get(key, Launch(self.steps_per_execution or 1))

    @property
    def running(self) -> bool:
        """Whether a loop of the model's own is under way here."""
        return id(self) in _UNDER_WAY.get()

    def function(
        self, loop: str, keras_function: Callable[[], Callable[[Any], Any]]
    ) -> Callable[[Any], Any]:
        """What Keras's `loop` is to call with its iterator.

        Args:
            loop: "train", "test" or "predict".
            keras_function: Makes Keras's own function. There are two such functions: steps that
                check their data are traced apart from those that need not check it.
        """
        for checked in (True, False):
            self._keras_functions.pop((loop, checked), None)

        def run(iterator):
            self.follow()  # A callback may have turned a switch.
            launch = self.current(loop)
            if launch.feed is None:
                key = loop, launch.checked
                if key not in self._keras_functions:
                    self._keras_functions[key] = keras_function()
                return self._keras_functions[key](iterator)
            if loop == "predict":
                return self._reconstruct(launch.feed, len(iterator))
            return self._run_steps(loop, launch)

        return run

    def begin_epoch(self, feed: Feed, epoch: int) -> None:
        """Begin an epoch of training; the first of a run chooses how the run goes."""
        if epoch == 0 or self.training_loop in (None, choice.KERAS):
            self.training_loop = choice.choose(
                feed.steps,
                feed.batch_size,
                sum(int(np.prod(v.shape)) for phase in self._model.phases for v in phase.variables),
                partial(self._contents, feed),
                self.jit_compile,
            )
        feed.begin(xla=self.training_loop.xla(epoch))

    def _contents(self, feed, xla):
        """The `Contents` of a step: looked for once, because it means copying the whole graph."""
        size = feed.program_size(xla)

        def look():
            program = self._program_of_steps("train", feed, size, xla=False)
            return contents(program, feed.batch_size)

        return self._programs.get(("contents", feed.spec(size), feed.batch_size), look)

    def _run_steps(self, loop, launch):
        """The next steps of training or evaluation, and the logs after them."""
        feed = launch.feed
        for (size, xla), arguments in feed.take(launch.steps):
            try:
                logs = self._program_of_steps(loop, feed, size, xla)(*arguments)
            except tf.errors.ResourceExhaustedError:
                raise
            except Exception as error:  # An error that is not XLA's comes again without XLA.
                if not xla or self.jit_compile is True:
                    raise
                self.training_loop = choice.without_xla(error)
                feed.without_xla()
                logs = self._program_of_steps(loop, feed, size, False)(*arguments)
        return logs

    def _program_of_steps(self, loop, feed, size, xla):
        step, result = getattr(self._model, f"{loop}_step"), self._model.get_metrics_result
        # With an explicit `jit_compile=True` the step is traced for XLA. Where XLA is chosen here,
        # the step was traced already, to look at its contents, and XLA compiles that graph.
        own_graph = self.jit_compile is True
        return self._programs.updates(loop, step, result, feed.spec(size), xla, own_graph)

    def _reconstruct(self, feed, steps):
        """The reconstruction of the next batches."""
        parts = []
        for (size, _), arguments in feed.take(steps):
            step, dtype = self._model.predict_step, self._model.variable_dtype
            parts.append(
                self._programs.outputs("predict", step, feed.spec(size), dtype)(*arguments)
            )
        return parts[0] if len(parts) == 1 else tf.concat(parts, axis=0)
