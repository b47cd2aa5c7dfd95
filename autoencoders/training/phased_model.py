"""`PhasedModel`: Keras's training loop around a step of several phases."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import RLock
from typing import Any

import keras
import numpy as np
from numpy.typing import ArrayLike

from autoencoders import arguments, losses
from autoencoders.training import (
    adapting,
    compiling,
    evidence,
    frozen,
    keras_hooks,
    running,
    saving,
    sources,
    state,
    step,
)
from autoencoders.training.backend import needs_tensorflow
from autoencoders.training.expectation import Expectation
from autoencoders.training.fused.feed import Feed
from autoencoders.training.fused.launches import Launches
from autoencoders.training.labels import Labels
from autoencoders.training.loss_terms import LossTrackers, check_metric_names
from autoencoders.types import Data, Shape


class PhasedModel(keras.Model):
    """A `keras.Model` whose training step runs phases, and whose training resumes exactly.

    Beside the step it looks after what surrounds it: an optimizer per phase, a logged mean per
    loss term, data that is checked before it is used, programs that run many steps at once, an
    evaluation that repeats, and a saved file that holds all state of a training run.

    A subclass gives `phases`, `expectation` and `call`.
    """

    # What Keras calls for a batch: step.py
    train_step = step.train_step
    test_step = step.test_step
    predict_step = step.predict_step

    # What `build` and `compile` set up: compiling.py
    ensure_built = compiling.ensure_built
    _assert_compile_called = compiling.assert_compile_called
    _prepare = compiling.prepare
    follow_settings = compiling.follow_settings
    compile_from_config = compiling.compile_from_config

    # Layers that are changed afterwards: adapting.py
    quantize = adapting.quantize
    get_config = adapting.get_config

    # How training stands: state.py
    epochs_trained = property(state.epochs_trained)
    training_loop = property(state.training_loop)
    save_own_variables = state.save_own_variables
    load_own_variables = state.load_own_variables

    # Files: saving.py
    save = saving.save
    save_weights = saving.save_weights
    load_weights = saving.load_weights

    # Whether it is trained: evidence.py
    trained = property(evidence.trained)
    note_pretrained = evidence.note_pretrained
    note_within = evidence.note_within

    # What Keras's loops launch, and log: keras_hooks.py
    metrics = property(keras_hooks.metrics)
    compute_metrics = keras_hooks.compute_metrics
    logs_of_its_own = property(keras_hooks.logs_of_its_own)
    make_train_function = keras_hooks.make_train_function
    make_test_function = keras_hooks.make_test_function
    make_predict_function = keras_hooks.make_predict_function
    steps_per_execution = property(keras_hooks.steps_per_execution, keras_hooks.set_steps)
    jit_compile = property(keras_hooks.jit_compile, keras_hooks.set_jit_compile)
    _get_metrics_result_or_logs = keras_hooks.result_or_logs

    def __init__(self, *, adapted: Iterable[dict[str, Any]] = (), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # Keras would make a list of its own of it. `build` adapts the layers that a file says were.
        object.__setattr__(self, "_adapted", list(adapted))
        self._logging = 0
        self._evaluating = RLock()
        self._optimized: frozenset[int] = frozenset()
        self.phase_optimizers: dict[str, compiling.Optimizer] = {}
        self.compiled_loss: keras.losses.Loss | None = None
        self._trackers = LossTrackers(())
        self._shuffle = keras.random.SeedGenerator(name="shuffle")
        self._set_aside: np.ndarray | None = None
        self._evidence = evidence.Evidence()
        self._as_compiled = frozen.AsCompiled()
        self._launches = Launches(self, PhasedModel)
        self._validation_feed: Feed | None = None

    # What a subclass says -------------------------------------------------------------------------

    @property
    def phases(self) -> list[step.Phase]:
        """The parts of a training step, in order."""
        raise NotImplementedError

    @property
    def labels(self) -> Labels | None:
        """The labels that the model takes in the place of `y`, or None."""
        return None

    @property
    def needs_labels(self) -> bool:
        """Whether there is no reconstruction without labels: `predict` takes `(x, labels)`."""
        return self.labels is not None and self.labels.needed

    @property
    def expectation(self) -> Expectation:
        """What data has to meet; asked for once the model is built."""
        raise NotImplementedError

    @property
    def known_input_shape(self) -> Shape | None:
        """The shape of a batch where the model knows it before it has seen data, or None."""
        return None

    def review(self, logs: dict[str, float]) -> None:
        """Look at what the last epoch of `fit` logged; a subclass warns of what went wrong."""

    # Setting up -----------------------------------------------------------------------------------

    def build(self, input_shape: Shape) -> None:
        """Set up training once the parts are built; subclasses build theirs, then call this."""
        adapting.apply(self)
        evidence.begin(self)
        if self.compiled:
            self._prepare()

    def compile(
        self,
        optimizer: compiling.Optimizer | str | dict[str, Any] = "rmsprop",
        loss: keras.losses.Loss | str | dict[str, Any] | None = None,
        *,
        phase_optimizers: Mapping[str, compiling.Optimizer | str | dict[str, Any]] | None = None,
        metrics: Any = None,
        weighted_metrics: Any = None,
        run_eagerly: bool = False,
        steps_per_execution: int | None = None,
        jit_compile: bool | str = "auto",
        auto_scale_loss: bool = True,
    ) -> None:
        """Configure training, as `keras.Model.compile` does.

        Args:
            optimizer: For every phase without one of its own, each of which gets a copy.
            loss: Keras loss between target and reconstruction, in place of the model's own; None
                keeps the model's own.
            phase_optimizers: Optimizers by phase name, for models with several phases.
            metrics, weighted_metrics: Keras metrics between target and reconstruction (as
                `predict` gives it, after the update).
            run_eagerly, auto_scale_loss: As in Keras.
            steps_per_execution: None runs as many steps over arrays in one program as pay off. A
                number keeps Keras's own loop, with so many steps per launch.
            jit_compile: Whether XLA compiles the steps. "auto" decides by itself for arrays (see
                `training_loop`) and is False for pipelines.

        Raises:
            ValueError: `phase_optimizers` names a phase that the model does not have, or a metric
                has the name of something else that is logged.
        """
        names = [phase.name for phase in self.phases]
        logged = {name for phase in self.phases for name in phase.logged}
        check_metric_names([metrics, weighted_metrics], {*logged, *arguments.numbers(self)})
        evidence.keep(self)
        optimizers = compiling.phase_optimizers(names, optimizer, dict(phase_optimizers or {}))
        compiled_loss = None if loss is None else losses.as_loss(loss)
        self._compile_metrics = None  # Keras keeps them when compiled again without metrics.
        super().compile(
            optimizer=optimizers[names[0]],
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution or 1,
            jit_compile=False if jit_compile == "auto" else jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        self.phase_optimizers = compiling.as_keras_took(optimizers, self.optimizer)
        self._loss_argument = loss
        self._launches.configure(jit_compile, steps_per_execution)
        self.compiled_loss = compiled_loss
        self._has_metrics = bool(metrics or weighted_metrics)
        if self.built:
            self._prepare()
        elif self.known_input_shape:
            self.build(self.known_input_shape)

    def get_compile_config(self) -> dict[str, Any]:
        """What `compile` was given, every phase's optimizer included."""
        config = super().get_compile_config()
        return compiling.completed(self, config) if config else config

    # Loops ----------------------------------------------------------------------------------------

    @needs_tensorflow
    def fit(
        self,
        x: Data = None,
        y: Data = None,
        batch_size: int | None = None,
        epochs: int = 1,
        verbose: str | int = "auto",
        callbacks: Any = None,
        validation_split: float = 0.0,
        validation_data: Data = None,
        shuffle: bool = True,
        class_weight: None = None,
        sample_weight: ArrayLike | None = None,
        initial_epoch: int = 0,
        steps_per_epoch: int | None = None,
        validation_steps: int | None = None,
        validation_batch_size: int | None = None,
        validation_freq: Any = 1,
    ) -> keras.callbacks.History:
        """Train, as `keras.Model.fit` does; the arguments are Keras's.

        `x` is the input and `y` the clean target; without `y` the target is x. (In models that
        take labels, `y` is the integer class of each row, and the target is x.) Arrays are checked
        before the first step, and shuffled in an order that is saved with the model, so that
        an interrupted and resumed run equals an uninterrupted one, bit by bit. With
        `steps_per_epoch` each epoch goes on in the data where the one before ended. Training that
        diverges is stopped and undone (see `callbacks.DivergenceGuard`).

        Raises:
            ValueError: NaN, wrong shape, wrong dtype, or targets that the likelihood cannot have.
                The weights are as they were (for pipelines: as before the offending batch). Or
                layers were frozen or thawed after `compile`.
        """
        if class_weight is not None:
            raise ValueError("There are no classes to weigh; use `sample_weight`.")
        self._assert_compile_called("fit")
        self.ensure_built(x)
        # Keras leaves this number of epochs set after a run that was restored from a backup, and
        # would skip as many epochs of the next run.
        self._initial_epoch = None
        adapting.make_ready(self)
        source, held_out = sources.training(
            self,
            x,
            y,
            sample_weight,
            batch_size=batch_size,
            in_order=not shuffle,
            steps_per_epoch=steps_per_epoch,
            held_out=validation_split if validation_data is None else 0.0,
        )
        validation = sources.validation(
            self,
            held_out if validation_data is None else validation_data,
            validation_batch_size or batch_size,
            validation_steps,
        )
        with running.training(self, x, source, validation, callbacks) as (callbacks, guard):
            history = super().fit(
                **source.given,
                **validation.given,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                initial_epoch=initial_epoch,
                validation_freq=validation_freq,
            )
        running.finish(self, history, guard)
        return history

    @needs_tensorflow
    def evaluate(
        self,
        x: Data = None,
        y: Data = None,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        sample_weight: ArrayLike | None = None,
        steps: int | None = None,
        callbacks: Any = None,
        return_dict: bool = False,
        **kwargs: Any,
    ) -> Any:
        """The loss and its terms on other data, as `keras.Model.evaluate`; it repeats exactly.

        While a warm-up is under way, its term has its whole weight here already. A number that
        `callbacks.Anneal` sets has the value that it has now: until its schedule ends, the loss is
        not yet the final objective.

        Raises:
            ValueError: as `fit` does.
        """
        self.ensure_built(x)
        within_fit = kwargs.get("_use_cached_eval_dataset", False)
        source = sources.evaluation(self, x, y, sample_weight, batch_size, steps, within_fit)
        with running.evaluation(self, source, callbacks, within_fit):
            loop = {"verbose": verbose, "callbacks": callbacks, "return_dict": return_dict}
            return super().evaluate(**source.given, **loop, **kwargs)

    @needs_tensorflow
    def predict(
        self,
        x: Data,
        batch_size: int | None = None,
        verbose: str | int = "auto",
        steps: int | None = None,
        callbacks: Any = None,
    ) -> np.ndarray:
        """The reconstruction of x, as `keras.Model.predict`.

        Raises:
            ValueError: NaN, wrong shape or wrong dtype.
        """
        self.ensure_built(x)
        source = sources.prediction(self, x, batch_size, steps)
        with running.launching(self, "predict", source, callbacks):
            return super().predict(**source.given, verbose=verbose, callbacks=callbacks)

    @needs_tensorflow
    def train_on_batch(self, x: Data, *args: Any, **kwargs: Any) -> Any:
        """One step on one batch, as `keras.Model.train_on_batch`."""
        self.ensure_built(x)
        frozen.check(self)
        sources.check_batch(self, "train", x, *args, **kwargs)
        with running.launching(self, "train"):
            return super().train_on_batch(x, *args, **kwargs)

    @needs_tensorflow
    def test_on_batch(self, x: Data, *args: Any, **kwargs: Any) -> Any:
        """The loss of one batch, as `keras.Model.test_on_batch`; it repeats exactly."""
        self.ensure_built(x)
        sources.check_batch(self, "test", x, *args, **kwargs)
        with running.evaluation(self):
            return super().test_on_batch(x, *args, **kwargs)

    @needs_tensorflow
    def predict_on_batch(self, x: Data) -> np.ndarray:
        """The reconstruction of one batch, as `keras.Model.predict_on_batch`."""
        self.ensure_built(x)
        with running.launching(self, "predict"):
            return super().predict_on_batch(x)
