"""Many steps in one program: the same training as Keras's loop, chosen the same way every time."""

from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import NamedTuple

import keras
import numpy as np
import pytest
import tensorflow as tf

import autoencoders
from autoencoders import datasets
from autoencoders.training.fused import choice, feed, programs
from tests import checks

# How each loop is asked for; "auto" is the fused one without XLA on data as small as here.
# Keras's runs step by step, without the time that it takes to trace its programs.
LOOPS = {"auto": {}, "xla": {"jit_compile": True}, "keras": {"run_eagerly": True}}


@pytest.fixture
def x(digits):
    return digits[0][:70]


# Without hidden layers, and with an optimizer of few operations (it has a state to compare, too):
# tracing is what takes the time.
def _plain():
    return _small("ae_mlp")


def _vae():
    return _small("vae_mlp")


def _small(name):
    return autoencoders.get(name, input_shape=(8, 8, 1), hidden_units=(), compile=False)


def _sgd(rate=0.1):
    return keras.optimizers.SGD(rate, momentum=0.9)


def _compiled(build, loop, **options):
    keras.utils.set_random_seed(5)
    model = build()
    # A loss in nats is a sum over the features, and has gradients as much larger.
    rate = 0.01 if build is _vae else 0.1
    model.compile(_sgd(rate), **LOOPS[loop], **options)
    return model


def _layer(function):
    """An autoencoder with a layer of one's own in front."""

    class Own(keras.layers.Layer):
        def call(self, x):
            return function(x)

    encoder, decoder = autoencoders.networks.mlp((8, 8, 1), 4, (16,))
    encoder = keras.Sequential([keras.Input((8, 8, 1)), Own(), encoder])
    return autoencoders.Autoencoder(encoder, decoder)


class Batches(keras.callbacks.Callback):
    """Counts what a batch callback sees."""

    def __init__(self):
        super().__init__()
        self.train, self.test, self.predict = [], [], []

    def on_train_batch_end(self, batch, logs=None):
        self.train.append(batch)

    def on_test_batch_end(self, batch, logs=None):
        self.test.append(batch)

    def on_predict_batch_end(self, batch, logs=None):
        self.predict.append(batch)


class Launches(Batches):
    every_batch = False


@pytest.fixture
def compiled_early(monkeypatch):
    """XLA from the third epoch of a run, as if the epochs before had taken long enough."""

    def choose(*args):
        return choice.TrainingLoop("fused", 2, "a test")

    monkeypatch.setattr(choice, "choose", choose)


# The same training -------------------------------------------------------------------------------


class Trained(NamedTuple):
    loop: choice.TrainingLoop
    logs: dict
    state: list


@cache
def _trained_with(loop, options):
    """A run that several tests compare theirs with."""
    options = dict(options)
    x = datasets.digits()[0][0][:70]
    if options.pop("sample_weight", False):
        options["sample_weight"] = np.linspace(0.5, 2.0, len(x))
    if options.pop("y", False):
        options["y"] = np.flip(x, axis=1)
    model = _compiled(_plain, loop)
    logs = model.fit(x, epochs=4, verbose=0, **options).history
    return Trained(model.training_loop, logs, checks._state(model))


@pytest.mark.parametrize("loop", ["auto", "xla"])
@pytest.mark.parametrize(
    "options",
    [
        {"batch_size": 16},
        {"batch_size": 14},  # no rest
        {"batch_size": 16, "shuffle": False, "sample_weight": True},
        {"batch_size": 16, "steps_per_epoch": 3},
        {"batch_size": 16, "y": True, "validation_split": 0.3},
        {"batch_size": 500},  # more than there are rows
    ],
    ids=str,
)
def test_the_fused_loop_trains_as_kerass_does(loop, options):
    ours = _trained_with(loop, tuple(options.items()))
    theirs = _trained_with("keras", tuple(options.items()))
    assert (ours.loop.name, theirs.loop.name) == ("fused", "keras")
    assert ours.loop.xla(0) == (loop == "xla")
    assert ours.logs.keys() == theirs.logs.keys()
    for key in ours.logs:
        np.testing.assert_allclose(ours.logs[key], theirs.logs[key], rtol=1e-5)
    for a, b in zip(ours.state, theirs.state, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_outside_xla_random_numbers_are_those_of_kerass_loop(x):
    ours, theirs = _compiled(_vae, "auto"), _compiled(_vae, "keras")
    for model in (ours, theirs):
        model.fit(x, batch_size=16, epochs=3, verbose=0)
    for a, b in zip(checks._state(ours), checks._state(theirs), strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["vae_mlp", "aae_mlp", "denoising_mlp"])
def test_xla_learns_as_well_where_it_draws_other_numbers(name, digits):
    losses = []
    x = digits[0][: 44 * 32]  # a rest would need programs of its own
    for options in (LOOPS["xla"], {"steps_per_execution": 1}):
        keras.utils.set_random_seed(5)
        small = {"hidden_units": ()}
        if name == "aae_mlp":
            small["discriminator_units"] = (32,)
        model = autoencoders.get(name, input_shape=(8, 8, 1), compile=False, **small)
        model.compile("adam", **options)
        losses.append(model.fit(x, epochs=5, verbose=0).history["loss"][-1])
    assert losses[0] == pytest.approx(losses[1], rel=0.05)


@pytest.mark.parametrize("loop", ["auto", "xla"])
def test_evaluate_and_predict_as_keras_does(loop, x):
    ours, theirs = _compiled(_plain, loop), _compiled(_plain, "keras")
    weight = np.linspace(0.5, 2.0, len(x))
    for options in ({}, {"batch_size": 16}, {"batch_size": 14}, {"batch_size": 16, "steps": 2}):
        a, b = (
            m.evaluate(x, verbose=0, return_dict=True, sample_weight=weight, **options)
            for m in (ours, theirs)
        )
        assert a == pytest.approx(b, rel=1e-5)
        a, b = (m.predict(x, verbose=0, **options) for m in (ours, theirs))
        assert a.dtype == b.dtype
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_validation_in_a_fused_fit(x):
    model = _compiled(_vae, "auto")
    pipeline = tf.data.Dataset.from_tensor_slices(x[:40]).batch(16)
    for validation in ((x[:40],), pipeline):
        logs = model.fit(x, verbose=0, validation_data=validation, validation_batch_size=16).history
        alone = model.evaluate(x[:40], batch_size=16, verbose=0, return_dict=True)
        assert logs["val_loss"][-1] == pytest.approx(alone["loss"], rel=1e-5)


def _weights_after_fit(x):
    model = _compiled(_plain, "auto")
    model.fit(x, verbose=0)
    return model.get_weights()


@cache
def _usual_weights():
    return _weights_after_fit(datasets.digits()[0][0][:70])


def _check_trains_as_usual(x):
    """These rows train as the same in an array like any other."""
    for a, b in zip(_weights_after_fit(x), _usual_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize(
    "change",
    [
        lambda x: x.astype("float64"),
        lambda x: np.asfortranarray(x),
        lambda x: np.repeat(x, 2, axis=0)[::2],
        lambda x: x[::-1][::-1],
    ],
)
def test_any_layout_in_memory(change, x):
    _check_trains_as_usual(change(x))


def test_arrays_on_disk(x, tmp_path):
    np.save(tmp_path / "x.npy", x)
    _check_trains_as_usual(np.load(tmp_path / "x.npy", mmap_mode="r"))


def test_rows_on_an_accelerator_are_those_on_the_host(x):
    """What a GPU would be given, made on the CPU."""
    indices = np.array([3, 1, 4, 1, 5, 9])
    host, device = (rows(x).batches(indices, 2) for rows in (feed.HostRows, feed.DeviceRows))
    assert host.shape == (3, 2, 8, 8, 1)
    np.testing.assert_array_equal(host, x[indices].reshape(host.shape))
    np.testing.assert_array_equal(host, device)


def test_a_variable_may_keep_a_batch(x):
    """What a step stores of its batch stays as it was when the next chunk comes."""

    class Keep(keras.layers.Layer):
        def build(self, shape):
            self.kept = self.add_weight(shape=(7, 8, 8, 1), trainable=False, name="kept")

        def call(self, x, training=False):
            if training and x.shape[0] == 7:  # not when the model is built
                self.kept.assign(x)
            return x

    encoder, decoder = autoencoders.networks.mlp((8, 8, 1), 4, (16,))
    model = autoencoders.Autoencoder(
        keras.Sequential([keras.Input((8, 8, 1)), keep := Keep(), encoder]), decoder
    )
    model.compile("adam")
    model.fit(x, batch_size=7, shuffle=False, verbose=0)
    kept = keep.kept.numpy().copy()
    np.testing.assert_array_equal(kept, x[-7:])
    model.fit(x[:7], batch_size=7, shuffle=False, verbose=0)
    model.evaluate(x[:14], batch_size=7, verbose=0)
    np.testing.assert_array_equal(keep.kept.numpy(), x[:7])


# The choice ---------------------------------------------------------------------------------------


def _choose(steps, batch_size=100, weights=400_000, draws=0, slow_draws=0, **options):
    contents = programs.Contents(frozenset(["MatMul"]), draws, slow_draws)
    return choice.choose(steps, batch_size, weights, lambda xla: contents, **options)


def test_xla_is_for_long_runs():
    assert _choose(600).xla_from == 0  # MNIST
    digits = _choose(45, 32, 35_000)
    assert digits.xla_from > 10
    assert not digits.xla(10)
    assert digits.xla(digits.xla_from)
    assert not digits.xla(digits.xla_from - 1)


def test_compile_overrides_the_choice():
    assert _choose(1, jit_compile=True).xla_from == 0
    assert _choose(10_000, jit_compile=False).xla_from is None


def test_draws_count_where_xla_loses_at_them(x):
    """Many numbers of any kind; of those that Keras's own layers draw, a tenth as many."""
    assert _choose(600, draws=20_000).xla_from == 0
    assert _choose(600, draws=2_000, slow_draws=2_000).xla_from == 0
    for draws, slow_draws in ((78_400, 0), (20_000, 20_000)):
        many = _choose(600, draws=draws, slow_draws=slow_draws)
        assert many.xla_from is None
        assert f"{draws:,} random numbers" in many.reason

    def drawn_by(layer, **parts):
        encoder, decoder = autoencoders.networks.mlp((8, 8, 1), 4, (16,))
        encoder = keras.Sequential([keras.Input((8, 8, 1)), layer, encoder])
        model = autoencoders.Autoencoder(encoder, decoder, **parts)
        model.compile("adam")
        model.fit(x, batch_size=16, verbose=0)
        kept = model._launches._programs._kept.values()
        (found,) = (one for one in kept if isinstance(one, programs.Contents))
        return found[1:], model.training_loop.xla_from

    dropped, noise = 16 * 64, 16 * 64
    ours = autoencoders.layers.MaskingNoise(0.1)
    drawn, xla_from = drawn_by(keras.layers.Identity(), corruption=ours)
    assert drawn == (noise, 0)
    assert xla_from is not None
    drawn = drawn_by(keras.layers.Dropout(0.2), corruption=ours)
    assert drawn == ((dropped + noise, dropped), None)


def test_convolutions_and_recurrences_go_without_xla_on_a_cpu(x):
    layers = keras.layers
    convolutional = autoencoders.Autoencoder(
        keras.Sequential([keras.Input((8, 8, 1)), layers.Conv2D(4, 3, strides=2, padding="same")]),
        keras.Sequential([keras.Input((4, 4, 4)), layers.Conv2DTranspose(1, 3, 2, padding="same")]),
    )
    recurrent = autoencoders.Autoencoder(
        keras.Sequential([keras.Input((8, 8)), layers.LSTM(4)]),
        keras.Sequential(
            [keras.Input((4,)), layers.RepeatVector(8), layers.LSTM(8, return_sequences=True)]
        ),
    )
    for model, data, culprit in (
        (convolutional, x, "Conv2D"),
        (recurrent, x[..., 0], "TensorList"),
    ):
        model.compile(_sgd())
        losses = model.fit(data, epochs=3, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        assert model.training_loop.name == "fused"
        assert model.training_loop.xla_from is None
        assert culprit in model.training_loop.reason


def test_what_keras_has_to_run_itself(x):
    class OwnStep(autoencoders.Autoencoder):
        def train_step(self, data):
            return super().train_step(data)

    encoder, decoder = autoencoders.networks.mlp((8, 8, 1), 4, (16,))
    own = OwnStep(encoder, decoder)
    own.compile("sgd")
    own.fit(x[:64], verbose=0)
    assert own.training_loop == choice.KERAS
    for options in ({"run_eagerly": True}, {"steps_per_execution": 2}):
        model = _plain()
        model.compile("sgd", **options)
        model.fit(x[:64], verbose=0)
        assert model.training_loop == choice.KERAS
    model = _plain()
    model.compile("sgd")
    assert model.training_loop is None
    model.fit(tf.data.Dataset.from_tensor_slices(x).batch(16), verbose=0)
    assert model.training_loop == choice.KERAS


# Of five epochs, with programs for a rest and without.
_RUNS = {
    _plain: {"epochs": 5, "batch_size": 16, "verbose": 0},
    _vae: {"epochs": 5, "batch_size": 14, "verbose": 0},
}


def test_the_choice_does_not_depend_on_what_is_compiled(x, compiled_early):
    """A model whose programs are all there already trains as a fresh one."""
    warm = _compiled(_vae, "auto")
    start = checks.snapshot(warm)
    for _ in range(2):
        checks.put_back(warm, start)
        warm.fit(x, **_RUNS[_vae])
    for a, b in zip(checks._state(warm), _whole_run(_vae), strict=True):
        np.testing.assert_array_equal(a, b)


@cache
def _whole_run(build):
    """The state after five epochs, the last three of them in XLA's programs."""
    model = _compiled(build, "auto")
    model.fit(datasets.digits()[0][0][:70], **_RUNS[build])
    assert model.training_loop.xla_from == 2
    return checks._state(model)


@pytest.mark.parametrize("build", [_plain, _vae])
@pytest.mark.parametrize("stop", [1, 3])
def test_a_run_goes_on_as_it_was_chosen(build, stop, x, compiled_early, monkeypatch, tmp_path):
    """Before and after XLA sets in, and whatever the rule would choose by the time of resuming."""
    options = _RUNS[build]
    whole = _whole_run(build)
    first = _compiled(build, "auto")
    first.fit(x, **{**options, "epochs": stop})
    first.save(tmp_path / "model.keras")
    monkeypatch.undo()
    loaded = autoencoders.load(tmp_path / "model.keras")
    loaded.fit(x, initial_epoch=stop, **options)
    assert loaded.training_loop.xla_from == 2
    for a, b in zip(whole, checks._state(loaded), strict=True):
        np.testing.assert_array_equal(a, b)
    loaded.fit(x, **{**options, "epochs": 1})  # a run of its own
    assert loaded.training_loop.xla_from != 2


def test_explicit_arguments_are_saved(x, tmp_path):
    for options in ({"jit_compile": True}, {"jit_compile": False}, {"steps_per_execution": 2}, {}):
        model = _plain()
        model.compile("sgd", **options)
        model.fit(x[:32], verbose=0)
        model.save(tmp_path / "model.keras")
        loaded = autoencoders.load(tmp_path / "model.keras")
        loaded.fit(x[:32], verbose=0)
        assert loaded.training_loop == model.training_loop


def test_compile_changes_a_run_that_goes_on(x):
    model = _plain()
    for jit_compile, expected in ((False, None), (True, 0), ("auto", 2750)):
        model.compile("sgd", jit_compile=jit_compile)
        model.fit(x[:64], epochs=2, initial_epoch=1, verbose=0)
        assert (model.training_loop.xla_from, jit_compile) == (expected, jit_compile)


def test_a_step_of_the_instances_own_is_kerass_to_run(x):
    model = _compiled(_plain, "auto")
    model.fit(x, verbose=0)
    calls = []
    step = model.train_step
    model.train_step = lambda data: (calls.append(1), step(data))[1]
    model.make_train_function(force=True)
    model.fit(x, verbose=0)
    assert calls
    assert model.training_loop == choice.KERAS


def test_any_error_of_xlas_can_be_told():
    assert "AssertionError" in choice.without_xla(AssertionError()).reason
    assert "two" not in choice.without_xla(ValueError("one\ntwo")).reason


def test_few_rows_share_a_program(x):
    model = _compiled(_plain, "auto")
    for rows in range(1, 20):
        model.predict(x[:rows], verbose=0)
        model.evaluate(x[:rows], verbose=0)
    assert len(model._launches._programs) == 2


@pytest.mark.parametrize("batch_size", [0, -1, 16.0, "16"])
def test_a_bad_batch_size(batch_size, x):
    model = _compiled(_plain, "auto")
    for use in (model.fit, model.evaluate, model.predict):
        with pytest.raises(ValueError, match="`batch_size` must be a positive integer"):
            use(x, batch_size=batch_size, verbose=0)


def test_what_xla_cannot_compile_trains_without_it(x, compiled_early):
    def through_numpy(x):
        return tf.ensure_shape(tf.numpy_function(lambda a: a, [x], tf.float32), x.shape)

    model = _layer(tf.custom_gradient(lambda x: (through_numpy(x), lambda g: g)))
    model.compile("adam")
    losses = model.fit(x, batch_size=16, epochs=6, verbose=0).history["loss"]
    assert all(np.diff(losses) < 0)
    assert model.training_loop.xla_from is None
    assert "XLA cannot compile" in model.training_loop.reason
    assert model.optimizer.iterations == 6 * 5


def test_programs_are_kept_between_fits(x):
    traces = []

    def count(x):
        traces.append(1)
        return x

    model = _layer(count)
    model.compile("sgd", jit_compile=True)
    for _ in range(2):
        before = len(traces)
        for rows in (64, 32):
            model.fit(x[:rows], batch_size=16, epochs=2, verbose=0)
            model.evaluate(x[:rows], batch_size=16, verbose=0)
    assert len(traces) == before  # the second time round, and other data of the same shape
    model.compile("sgd", jit_compile=True)
    model.fit(x[:64], batch_size=16, verbose=0)
    assert len(traces) > before


# What callbacks see -------------------------------------------------------------------------------


def test_a_batch_callback_sees_every_batch_and_changes_nothing(x):
    model = _compiled(_vae, "xla")
    start, seen = checks.snapshot(model), Batches()
    fit = {"batch_size": 16, "epochs": 2, "verbose": 0, "validation_data": (x,)}
    model.fit(x, callbacks=[seen], **fit)
    model.predict(x, batch_size=16, verbose=0, callbacks=[seen])
    watched = checks._state(model)
    checks.put_back(model, start)
    model.fit(x, **fit)
    assert seen.train == [0, 1, 2, 3, 4] * 2
    assert seen.test == [0, 1, 2, 3, 4] * 2
    assert seen.predict == [0, 1, 2, 3, 4]
    for a, b in zip(watched, checks._state(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_batch_callback_that_can_wait_sees_every_launch(x):
    seen = Launches()
    model = _compiled(_plain, "auto")
    model.fit(x, batch_size=16, verbose=0, callbacks=[seen], validation_data=(x,))
    model.predict(x, batch_size=16, verbose=0, callbacks=[seen])
    assert [len(batches) for batches in (seen.train, seen.test, seen.predict)] == [1, 1, 1]


@pytest.mark.parametrize(
    ("callback", "expected"),
    [
        (keras.callbacks.EarlyStopping(monitor="loss"), False),
        (keras.callbacks.TerminateOnNaN(), False),
        (keras.callbacks.ModelCheckpoint("x.keras"), False),
        (keras.callbacks.ModelCheckpoint("x.keras", save_freq=3), True),
        (keras.callbacks.BackupAndRestore("x", save_freq=3), True),
        (keras.callbacks.TensorBoard("x"), False),
        (keras.callbacks.TensorBoard("x", update_freq="batch"), True),
        (keras.callbacks.TensorBoard("x", write_steps_per_second=True), True),
        (keras.callbacks.LambdaCallback(on_epoch_end=print), False),
        (keras.callbacks.LambdaCallback(on_train_batch_begin=print), True),
        (keras.callbacks.CallbackList([Batches()]), True),
        ([Launches(), [Batches()]], True),
        (None, False),
    ],
)
def test_which_callbacks_have_to_see_every_batch(callback, expected):
    assert choice.every_batch(callback) == expected


def test_training_stops_where_a_callback_says(x):
    class Stop(keras.callbacks.Callback):
        def on_train_batch_end(self, batch, logs=None):
            self.model.stop_training = batch == 2

    model = _compiled(_plain, "auto")
    model.fit(x, batch_size=16, epochs=3, verbose=0, callbacks=[Stop()])
    assert model.optimizer.iterations == 3
    model.fit(x, batch_size=16, verbose=0)
    assert model.optimizer.iterations == 3 + 5


@pytest.mark.parametrize(
    "nested",
    [
        lambda model, x: model.train_on_batch(x[:8]),
        lambda model, x: model.fit(x[:16], batch_size=8, verbose=0),
        lambda model, x: model.fit(tf.data.Dataset.from_tensors(x[:8]), verbose=0),
        lambda model, x: model.evaluate(x[:20], batch_size=8, verbose=0),
        lambda model, x: model.predict(tf.data.Dataset.from_tensors(x[:8]), verbose=0),
        lambda model, x: model.predict_on_batch(x[:8]),
        lambda model, x: model.make_train_function(force=True),
    ],
)
def test_a_callback_may_use_the_model(nested, x):
    """As in Keras's loop, whatever runs inside another run."""
    states = []
    for loop in ("auto", "keras"):
        model = _compiled(_plain, loop)

        def use(epoch, logs, model=model):
            nested(model, x)

        callback = keras.callbacks.LambdaCallback(on_epoch_end=use)
        fit = {"batch_size": 16, "epochs": 3, "verbose": 0, "validation_data": (x[:20],)}
        model.fit(x, callbacks=[callback], **fit)
        states.append(checks._state(model))
    for a, b in zip(*states, strict=True):
        np.testing.assert_allclose(a, b, rtol=0, atol=1e-6)


def test_threads_may_share_a_model(x):
    """Each gets the answers to its own rows, and training loses none of its steps."""
    model = _compiled(_plain, "auto")
    model.fit(x, verbose=0)
    served = _plain()
    served.set_weights(model.get_weights())
    slices = [slice(start, start + 30) for start in range(0, 40, 5)]
    expected = [served.predict(x[rows], batch_size=10, verbose=0) for rows in slices]

    def ask(number):
        batches = [Batches()] if number % 2 else []
        return [
            served.predict(x[slices[number]], batch_size=10, verbose=0, callbacks=batches)
            for _ in range(5)
        ]

    with ThreadPoolExecutor(8) as pool:
        for number, answers in enumerate(pool.map(ask, range(8))):
            for answer in answers:
                np.testing.assert_allclose(answer, expected[number], atol=1e-6)

    many = np.repeat(x, 20, axis=0)
    before = int(model.optimizer.iterations.numpy())
    with ThreadPoolExecutor(1) as pool:
        asked = [
            pool.submit(model.predict, x, batch_size=10, verbose=0, callbacks=[Batches()])
            for _ in range(20)
        ]
        model.fit(many, batch_size=16, epochs=5, verbose=0)
        assert all(len(future.result()) == len(x) for future in asked)
    assert model.optimizer.iterations == before + 5 * 88


def test_the_progress_bar_counts_batches(x, capsys):
    _compiled(_plain, "auto").fit(x, batch_size=16)
    assert "5/5" in capsys.readouterr().out
