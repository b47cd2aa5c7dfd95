"""`PhasedModel`: Keras's training loop around a step of several phases."""

import warnings
from contextlib import contextmanager

import keras
from keras import ops

from autoencoders import losses, registry
from autoencoders.training import choice, health, keras_hooks, randomness, sources, step
from autoencoders.training.backend import needs_tensorflow
from autoencoders.training.launches import Launches
from autoencoders.training.shuffle import first
from autoencoders.training.sources import Source, is_array


class PhasedModel(keras.Model):
    """A `keras.Model` whose training step runs phases, and whose training resumes exactly.

    Beside the step it looks after what surrounds it: an optimizer per phase, a logged mean per
    loss term, data that is checked before it is used, programs that run many steps at once, an
    evaluation that repeats, and a saved file that holds all state of a training run.

    A subclass gives `phases`, `expectation` and `call`.
    """

    def __init__(self, **kwargs):
        super().__init__(**kwargs)
        self.phase_optimizers = {}
        self.compiled_loss = None
        self._trackers = step.LossTrackers(())
        self._shuffle = keras.random.SeedGenerator(name="shuffle")
        self._set_aside = None
        self._pretrained = False
        self._launches = Launches(self, PhasedModel)
        self._validation_feed = None

    @property
    def phases(self):
        """The parts of a training step, in order: a list of `step.Phase`."""
        raise NotImplementedError

    @property
    def labels(self):
        """The `health.Labels` that the model takes in the place of `y`, or None."""
        return None

    @property
    def needs_labels(self):
        """Whether there is no reconstruction without labels: `predict` takes `(x, labels)`."""
        return self.labels is not None and self.labels.needed

    @property
    def expectation(self):
        """The `health.Expectation` that data has to meet; asked for once the model is built."""
        raise NotImplementedError

    def build(self, input_shape):
        """Set up training once the parts are built; subclasses build theirs, then call this."""
        if self.compiled:
            self._prepare()

    @property
    def known_input_shape(self):
        """The shape of a batch where the model knows it before it has seen data, or None."""
        return None

    # Setting up -----------------------------------------------------------------------------------

    @property
    def epochs_trained(self):
        """How many epochs `fit` has trained this model on arrays, in all processes together.

        Data that orders its epochs itself (`Sprites.batches`) counts as arrays do.
        A run goes on where a saved model left it with `initial_epoch=model.epochs_trained`.
        """
        return int(self._shuffle.state.numpy()[1])

    @property
    def trained(self):
        """Whether it has been trained: by `fit`, or before its weights were loaded by `get`."""
        return self._pretrained or self.epochs_trained > 0

    def note_pretrained(self):
        """Note that the weights are of another training."""
        self._pretrained = True

    @property
    def training_loop(self):
        """How the last `fit` ran, as a `training.choice.TrainingLoop`; None before the first.

        `compile` overrides it: `jit_compile=True` or `False` for or against XLA, and
        `steps_per_execution` (1, say) for Keras's own loop.
        """
        return self._launches.training_loop

    def ensure_built(self, x=None):
        """Build the model if it is not built: from what it knows, or from the data `x`.

        Raises:
            ValueError: neither tells the shape of the input.
        """
        if self.built:
            return
        spec = getattr(x, "element_spec", x)
        spec = keras.utils.unpack_x_y_sample_weight(spec)[0]
        if self.known_input_shape:
            shape = self.known_input_shape
        elif getattr(spec, "shape", None) is not None:
            shape = (None, *spec.shape[1:])
        else:
            raise ValueError(
                f"{self.name!r} does not know the shape of its input yet. Build it first: "
                "`model.build((None, *input_shape))`."
            )
        with self.distribute_strategy.scope():
            self.build(shape)

    def compile(
        self,
        optimizer="rmsprop",
        loss=None,
        *,
        phase_optimizers=None,
        metrics=None,
        weighted_metrics=None,
        run_eagerly=False,
        steps_per_execution=None,
        jit_compile="auto",
        auto_scale_loss=True,
    ):
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
            ValueError: `phase_optimizers` names a phase that the model does not have.
        """
        optimizers = self._optimizers(optimizer, dict(phase_optimizers or {}))
        compiled_loss = None if loss is None else losses.as_loss(loss)
        self._compile_metrics = None  # which Keras keeps when compiled again without metrics
        super().compile(
            optimizer=next(iter(optimizers.values())),
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            run_eagerly=run_eagerly,
            steps_per_execution=steps_per_execution or 1,
            jit_compile=False if jit_compile == "auto" else jit_compile,
            auto_scale_loss=auto_scale_loss,
        )
        if isinstance(self.optimizer, keras.optimizers.LossScaleOptimizer):
            optimizers = {name: _scaling(own) for name, own in optimizers.items()}
        first = next(iter(optimizers))
        self.phase_optimizers = {**optimizers, first: self.optimizer}
        self._loss_argument = loss
        self._launches.configure(jit_compile, steps_per_execution)
        self.compiled_loss = compiled_loss
        self._has_metrics = bool(metrics or weighted_metrics)
        if self.built:
            self._prepare()
        elif self.known_input_shape:
            self.build(self.known_input_shape)

    def _optimizers(self, optimizer, own):
        names = [phase.name for phase in self.phases]
        for name in own:
            if name not in names:
                raise ValueError(registry.unknown("phase", name, names))
        optimizer = keras.optimizers.get(optimizer)
        if optimizer is None:
            raise ValueError("`optimizer` must be a Keras optimizer or the name of one, got None.")
        shared = [name for name in names if name not in own]
        optimizers = {
            name: keras.optimizers.get(own[name])
            if name in own
            else (optimizer if name == shared[0] else _copy(optimizer))
            for name in names
        }
        if len({id(optimizer) for optimizer in optimizers.values()}) < len(names):
            raise ValueError("Each phase needs an optimizer of its own; one is given for several.")
        return optimizers

    def _prepare(self):
        """Set up what depends on the built parts: every optimizer and the term trackers.

        All optimizers have to exist before anything restores their state.
        """
        phases = self.phases
        for phase in phases:
            if not self.phase_optimizers[phase.name].built:
                self.phase_optimizers[phase.name].build(phase.variables)
        self._trackers = step.LossTrackers(self._logged())

    def _logged(self):
        """The names under which the phases log."""
        names = [name for phase in self.phases for name in phase.logged]
        if repeated := sorted({name for name in names if names.count(name) > 1}):
            raise ValueError(f"Several parts of {self.name!r} log the loss terms {repeated}.")
        return names

    def follow_settings(self):
        """Log what the phases log now that a switch of one of the parts was turned."""
        if self.compiled and self.built and self._logged() != self._trackers.names:
            with self.distribute_strategy.scope():
                self._trackers = step.LossTrackers(self._logged(), self._trackers)

    @property
    def metrics(self):
        """Keras's metrics, with the loss terms behind the loss."""
        metrics = super().metrics
        return [*metrics[:1], *self._trackers.metrics, *metrics[1:]] if self.compiled else metrics

    @property
    def logs_of_its_own(self):
        """Whether a subclass's own `compute_metrics` says what a step logs."""
        return overridden(self, "compute_metrics")

    # Steps ----------------------------------------------------------------------------------------

    def train_step(self, data):
        """One step: every phase in order, each with its loss, gradient and update."""
        batch = self._batch(data, "train")
        return self._log(batch, step.train(self.phases, self.phase_optimizers, batch))

    def test_step(self, data):
        """The same losses under the same names, without updates."""
        batch = self._batch(data, "test")
        return self._log(batch, step.evaluate(self.phases, batch))

    def predict_step(self, data):
        """The reconstruction of a batch."""
        x, labels, _ = keras.utils.unpack_x_y_sample_weight(data)
        if self.needs_labels and isinstance(x, (list, tuple)):
            x, labels = x
        if not self._launches.current("predict").checked:
            x = self.expectation.tensor(x, "x")
            labels = self.labels.tensor(labels, x) if self.needs_labels else None
        return self((x, labels) if self.needs_labels else x, training=False)

    def _batch(self, data, loop):
        x, y, sample_weight = keras.utils.unpack_x_y_sample_weight(data)
        if not self._launches.current(loop).checked:
            x, y, sample_weight = self.expectation.tensors(x, y, sample_weight)
        if self.labels:
            return step.Batch(x, x, sample_weight, labels=y)
        return step.Batch(x, x if y is None else y, sample_weight)

    def _log(self, batch, values):
        size = ops.shape(batch.x)[0]
        loss = step.total(self.phases[0], values)
        self._loss_tracker.update_state(loss, sample_weight=size)
        self._trackers.update(values, size)
        if self._has_metrics or self.logs_of_its_own:
            x = (batch.x, batch.labels) if self.needs_labels else batch.x
            reconstruction = self(x, training=False)
            logs = self.compute_metrics(batch.x, batch.target, reconstruction, batch.sample_weight)
            if not isinstance(logs, dict):
                raise TypeError(
                    f"`compute_metrics` of {type(self).__name__} must return the dict of what is "
                    f"logged, as `super().compute_metrics(...)` does; it returned {logs!r}."
                )
            return logs
        return self.get_metrics_result()

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """The compiled metrics between target and reconstruction; without `y` the target is x."""
        return super().compute_metrics(x, x if y is None else y, y_pred, sample_weight)

    # Loops ----------------------------------------------------------------------------------------

    @needs_tensorflow
    def fit(
        self,
        x=None,
        y=None,
        batch_size=None,
        epochs=1,
        verbose="auto",
        callbacks=None,
        validation_split=0.0,
        validation_data=None,
        shuffle=True,
        class_weight=None,
        sample_weight=None,
        initial_epoch=0,
        steps_per_epoch=None,
        validation_steps=None,
        validation_batch_size=None,
        validation_freq=1,
    ):
        """Train, as `keras.Model.fit` does; the arguments are Keras's.

        `x` is the input and `y` the clean target; without `y` the target is x. (In models that
        take labels, `y` is the integer class of each row, and the target is x.) Arrays are checked
        before the first step, and shuffled in an order that is saved with the model, so that
        an interrupted and resumed run equals an uninterrupted one, bit by bit. With
        `steps_per_epoch` each epoch goes on in the data where the one before ended.

        Raises:
            ValueError: NaN, wrong shape, wrong dtype, or targets that the likelihood cannot have.
                The weights are as they were (for pipelines: as before the offending batch).
        """
        if class_weight is not None:
            raise ValueError("There are no classes to weigh; use `sample_weight`.")
        self._assert_compile_called("fit")
        self.ensure_built(x)
        # Keras leaves this set after a restored run, and would skip as many epochs of the next.
        self._initial_epoch = None
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
        validation_data = held_out if validation_data is None else validation_data
        validation_batch_size = validation_batch_size or batch_size
        validation = sources.validation(
            self, validation_data, validation_batch_size, validation_steps
        )
        with self._training_on(source, validation, callbacks) as callbacks:
            history = super().fit(
                **source.given,
                **validation.given,
                epochs=epochs,
                verbose=verbose,
                callbacks=callbacks,
                initial_epoch=initial_epoch,
                validation_freq=validation_freq,
            )
        # Keras does it for the first phase's: averages of weights (`use_ema`) take their place.
        for phase in self.phases[1:]:
            self.phase_optimizers[phase.name].finalize_variable_values(phase.variables)
        if history.epoch:
            self.review({name: values[-1] for name, values in history.history.items()})
        return history

    @contextmanager
    def _training_on(self, source, validation, callbacks):
        """Within it Keras's `fit` reads these sources; yield the callbacks for it."""
        if source.feed is None:
            self._launches.training_loop = choice.KERAS
        outer, self._validation_feed = self._validation_feed, validation.feed
        try:
            with (
                health.value_errors(),
                first(source.counter, callbacks, self) as callbacks,
                self._launches.under_way("train", source.feed, callbacks, source.checked),
            ):
                yield callbacks
        finally:
            self._validation_feed = outer

    def review(self, logs):
        """Look at what the last epoch of `fit` logged; a subclass warns of what went wrong."""

    @needs_tensorflow
    def evaluate(
        self,
        x=None,
        y=None,
        batch_size=None,
        verbose="auto",
        sample_weight=None,
        steps=None,
        callbacks=None,
        return_dict=False,
        **kwargs,
    ):
        """The loss and its terms on other data, as `keras.Model.evaluate`; it repeats exactly.

        Raises:
            ValueError: as `fit` does.
        """
        self.ensure_built(x)
        within_fit = kwargs.get("_use_cached_eval_dataset", False)
        if within_fit:  # where the data has been checked already
            given = {"x": x, "y": y, "sample_weight": sample_weight, "batch_size": batch_size}
            source = Source({**given, "steps": steps}, self._validation_feed, is_array(x))
        else:
            source = sources.evaluation(self, x, y, sample_weight, batch_size, steps)
        with (
            self._sampling_afresh(),
            health.value_errors(),
            self._launches.under_way("test", source.feed, callbacks, source.checked) as launch,
        ):
            if within_fit:  # made for the training loop's launches
                self._eval_epoch_iterator.steps_per_execution = launch.steps
            loop = {"verbose": verbose, "callbacks": callbacks, "return_dict": return_dict}
            return super().evaluate(**source.given, **loop, **kwargs)

    @needs_tensorflow
    def predict(self, x, batch_size=None, verbose="auto", steps=None, callbacks=None):
        """The reconstruction of x, as `keras.Model.predict`.

        Raises:
            ValueError: NaN, wrong shape or wrong dtype.
        """
        self.ensure_built(x)
        source = sources.prediction(self, x, batch_size, steps)
        with (
            health.value_errors(),
            self._launches.under_way("predict", source.feed, callbacks, source.checked),
        ):
            return super().predict(**source.given, verbose=verbose, callbacks=callbacks)

    make_train_function = keras_hooks.make_train_function
    make_test_function = keras_hooks.make_test_function
    make_predict_function = keras_hooks.make_predict_function
    steps_per_execution = property(keras_hooks.steps_per_execution, keras_hooks.leave_to_compile)

    @needs_tensorflow
    def train_on_batch(self, x, *args, **kwargs):
        """One step on one batch, as `keras.Model.train_on_batch`."""
        self.ensure_built(x)
        with health.value_errors(), self._launches.under_way("train"):
            return super().train_on_batch(x, *args, **kwargs)

    @needs_tensorflow
    def test_on_batch(self, x, *args, **kwargs):
        """The loss of one batch, as `keras.Model.test_on_batch`; it repeats exactly."""
        self.ensure_built(x)
        with (
            self._sampling_afresh(),
            health.value_errors(),
            self._launches.under_way("test"),
        ):
            return super().test_on_batch(x, *args, **kwargs)

    @needs_tensorflow
    def predict_on_batch(self, x):
        """The reconstruction of one batch, as `keras.Model.predict_on_batch`."""
        self.ensure_built(x)
        with health.value_errors(), self._launches.under_way("predict"):
            return super().predict_on_batch(x)

    @contextmanager
    def _sampling_afresh(self):
        outer = self._set_aside
        with randomness.afresh(self, keep=self._shuffle.state) as before:
            self._set_aside = before if outer is None else outer
            try:
                yield
            finally:
                self._set_aside = outer

    # Saving ---------------------------------------------------------------------------------------

    def get_compile_config(self):
        """What `compile` was given, every phase's optimizer included."""
        config = super().get_compile_config()
        if config:
            config.pop("loss_weights", None)
            config["loss"] = keras.saving.serialize_keras_object(self._loss_argument)
            config["jit_compile"] = self._launches.jit_compile
            config["steps_per_execution"] = self._launches.steps_per_execution
            _, *later = self.phase_optimizers.items()
            config["phase_optimizers"] = {
                name: keras.saving.serialize_keras_object(optimizer) for name, optimizer in later
            }
        return config

    def compile_from_config(self, config):
        """The inverse of `get_compile_config`; the optimizers are built for their state."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def save_own_variables(self, store):
        """Keras's, and for a compiled model the random state, so that training resumes exactly."""
        super().save_own_variables(store)
        if self.compiled:
            # A callback may save in the middle of an evaluation, which has set the state aside.
            evaluating = self._set_aside is not None
            state = self._set_aside if evaluating else randomness.snapshot(self)
            store["random_state"] = state
            if self.training_loop not in (None, choice.KERAS):
                store["training_loop"] = choice.saved(self.training_loop)

    def load_own_variables(self, store):
        """The inverse of `save_own_variables`."""
        values = {key: store[key] for key in store.keys()}  # noqa: SIM118
        state, loop = (values.pop(key, None) for key in ("random_state", "training_loop"))
        super().load_own_variables(values)
        if self.compiled and loop is not None:
            self._launches.training_loop = choice.resumed(loop)
        if self.compiled and state is not None:
            try:
                randomness.restore(self, state)
            except ValueError as error:
                warnings.warn(f"The random state was not loaded. {error}", stacklevel=2)


def overridden(model, name):
    """Whether a subclass outside this package has its own method or property of this name."""
    for cls in type(model).__mro__:
        if name in vars(cls):
            return cls.__module__.partition(".")[0] not in ("autoencoders", "keras")
    return False


def _copy(optimizer):
    return type(optimizer).from_config(optimizer.get_config())


def _scaling(optimizer):
    if isinstance(optimizer, keras.optimizers.LossScaleOptimizer):
        return optimizer
    return keras.optimizers.LossScaleOptimizer(optimizer)
