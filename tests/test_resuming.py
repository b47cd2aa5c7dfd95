"""An interrupted and resumed run equals an uninterrupted one, bit by bit."""

import itertools
import tempfile
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import callbacks, datasets
from autoencoders.training.fused.feed import Feed
from autoencoders.training.shuffle import Order, batches
from tests import checks


@pytest.fixture
def x(digits):
    return digits[0][:70]


class Interrupt(keras.callbacks.Callback):
    """Stops the process in the middle of an epoch, as Ctrl-C does."""

    def __init__(self, epoch, batch):
        super().__init__()
        self.where = (epoch, batch)

    def on_epoch_begin(self, epoch, logs=None):
        self.epoch = epoch

    def on_train_batch_end(self, batch, logs=None):
        if (self.epoch, batch) == self.where:
            raise KeyboardInterrupt


# Every source of state: three optimizers and draws from a prior; sampling; noise and dropout.
def _aae():
    return autoencoders.get("aae_mlp", input_shape=(8, 8, 1), hidden_units=(16,))


def _vae():
    return autoencoders.get("vae_mlp", input_shape=(8, 8, 1), hidden_units=(16,))


def _vae_in_xla():
    model = _vae()
    model.compile("adam", jit_compile=True)
    return model


def _with_dropout():
    encoder, decoder = autoencoders.networks.mlp((8, 8, 1), 4, (16,))
    encoder = keras.Sequential([keras.Input((8, 8, 1)), keras.layers.Dropout(0.2), encoder])
    noise = keras.layers.GaussianNoise(0.3)
    model = autoencoders.Autoencoder(encoder, decoder, corruption=noise)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.9))
    return model


BUILDERS = [_aae, _vae, _vae_in_xla, _with_dropout]
FITS = [
    {"batch_size": 16},
    {"batch_size": 16, "shuffle": False},
    {"batch_size": 16, "steps_per_epoch": 3},
    {"batch_size": 16, "steps_per_epoch": 7},
]
# Tracing and compiling take most of the time: one or two of these for each builder, and the rest in
# `make thorough`.
_THOROUGH = {_aae: (1, 2, 3), _vae: (1, 2), _vae_in_xla: (1, 2, 3), _with_dropout: (1, 2)}
PAIRS = [
    pytest.param(
        build,
        options,
        marks=[pytest.mark.thorough] if number in _THOROUGH[build] else [],
        id=f"{build.__name__}-{options}",
    )
    for build in BUILDERS
    for number, options in enumerate(FITS)
]


def straight(build, x, **options):
    """The state after a run in one piece; several tests compare theirs with it."""
    assert x.shape == (70, 8, 8, 1)
    return _straight(build, tuple(options.items()))[0]


@cache
def _begun(build):
    """A model, and its state before it is trained: one for all runs in one piece."""
    keras.utils.set_random_seed(5)
    model = build()
    return model, checks.snapshot(model)


@cache
def _straight(build, options):
    """That state, and files of the run after each epoch."""
    model, start = _begun(build)
    checks.put_back(model, start)
    with tempfile.TemporaryDirectory() as folder:
        checkpoint = keras.callbacks.ModelCheckpoint(folder + "/{epoch:02d}.keras")
        x = datasets.digits()[0][0][:70]
        model.fit(x, epochs=6, verbose=0, callbacks=[checkpoint], **dict(options))
        files = {path.name: path.read_bytes() for path in Path(folder).iterdir()}
    return checks._state(model), files


def assert_same(model, expected):
    for ours, theirs in zip(checks._state(model), expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize(("build", "options"), PAIRS)
def test_backup_and_restore(build, options, x, tmp_path):
    expected = straight(build, x, **options)
    keras.utils.set_random_seed(5)
    interrupted = build()
    backup = keras.callbacks.BackupAndRestore(tmp_path / "backup")
    with pytest.raises(KeyboardInterrupt):
        interrupted.fit(x, epochs=6, verbose=0, callbacks=[backup, Interrupt(3, 1)], **options)

    keras.utils.set_random_seed(99)  # another process would have another seed
    resumed = build()
    history = resumed.fit(
        x,
        epochs=6,
        verbose=0,
        callbacks=keras.callbacks.BackupAndRestore(tmp_path / "backup"),
        **options,
    )
    assert history.epoch == [3, 4, 5]
    assert_same(resumed, expected)

    # The restored run is over: the next one starts at its own first epoch.
    assert resumed.fit(x, epochs=2, verbose=0, **options).epoch == [0, 1]


def test_backup_goes_on_exactly(x, tmp_path):
    """With what a schedule has set, and counted from where this `fit` began."""

    def run(*more):
        keras.utils.set_random_seed(5)
        model = _vae()
        anneal = callbacks.Anneal("bottleneck.beta", callbacks.Linear(0.0, 1.0, over=6))
        model.fit(x, epochs=2, verbose=0, callbacks=[anneal])
        try:
            history = model.fit(x, epochs=5, verbose=0, callbacks=[anneal, *more])
        except KeyboardInterrupt:
            history = None
        return model, history

    expected, _ = run()
    path = tmp_path / "run.weights.h5"
    _, history = run(callbacks.Backup(path), Interrupt(3, 1))
    assert history is None
    resumed, history = run(callbacks.Backup(path))
    assert history.epoch == [3, 4]
    assert_same(resumed, checks._state(expected))
    assert resumed.bottleneck.beta == expected.bottleneck.beta
    assert not path.exists()

    resumed.fit(x, verbose=0, callbacks=[callbacks.Backup(path, keep=True)])
    assert resumed.fit(x, verbose=0, callbacks=[callbacks.Backup(path)]).epoch == []


def test_backup_says_what_it_cannot_go_on_with(x, tmp_path):
    with pytest.raises(ValueError, match=r"must end in '\.weights\.h5'"):
        callbacks.Backup("run.keras")
    model = _vae()
    backup = callbacks.Backup(tmp_path / "run.weights.h5")
    model.save_weights(backup.path)
    with pytest.raises(ValueError, match="no run of `fit`"):
        model.fit(x, verbose=0, callbacks=[backup])
    backup.path.write_bytes(backup.path.read_bytes()[:-200])
    with pytest.raises(ValueError, match="is damaged"):
        model.fit(x, verbose=0, callbacks=[backup])
    plain = keras.Sequential([keras.Input((3,)), keras.layers.Dense(3)])
    plain.compile("sgd", "mse")
    with pytest.raises(ValueError, match=r"use `keras\.callbacks\.BackupAndRestore`"):
        plain.fit(np.ones((2, 3)), np.ones((2, 3)), verbose=0, callbacks=[backup])


@pytest.mark.parametrize(("build", "options"), PAIRS)
def test_model_checkpoint(build, options, x, tmp_path):
    expected, files = _straight(build, tuple(options.items()))
    keras.utils.set_random_seed(99)
    for epoch in (2, 4):
        path = tmp_path / f"{epoch:02d}.keras"
        path.write_bytes(files[path.name])
        model = autoencoders.load(path)
        model.fit(x, epochs=6, initial_epoch=epoch, verbose=0, **options)
        assert_same(model, expected)


def test_saving_changes_nothing(x, tmp_path):
    expected = straight(_vae, x)
    keras.utils.set_random_seed(5)
    model = _vae()
    for epoch in range(6):
        model.fit(x, epochs=epoch + 1, initial_epoch=epoch, verbose=0)
        model.save(tmp_path / "model.keras")
        model.evaluate(x, verbose=0)
        model.sample(3)
    assert_same(model, expected)


def test_evaluation_repeats_after_loading(x, tmp_path):
    model = _vae()
    model.fit(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = autoencoders.load(tmp_path / "model.keras")
    assert loaded.evaluate(x, verbose=0) == model.evaluate(x, verbose=0)


def test_saving_in_the_middle_of_an_evaluation(x, tmp_path):
    expected = straight(_vae, x)
    keras.utils.set_random_seed(5)
    save = keras.callbacks.LambdaCallback()
    model = _vae()
    save.on_test_end = lambda logs: model.save(tmp_path / "model.keras")
    model.fit(x, epochs=3, verbose=0)
    model.evaluate(x, verbose=0, callbacks=[save])
    loaded = autoencoders.load(tmp_path / "model.keras")
    assert loaded.epochs_trained == 3
    loaded.fit(x, epochs=6, initial_epoch=3, verbose=0)
    assert_same(loaded, expected)


def test_a_callback_list_of_keras_may_be_used_again(x):
    model = _vae()
    callbacks = keras.callbacks.CallbackList([], add_history=True, model=model)
    for _ in range(2):
        model.fit(x, verbose=0, callbacks=callbacks)
    assert model.epochs_trained == 2


def test_weights_go_into_a_model_with_other_noise(x, tmp_path):
    model = _vae()
    model.save_weights(tmp_path / "v.weights.h5")
    noise = keras.saving.serialize_keras_object(autoencoders.layers.GaussianNoise(0.1))
    noisy = autoencoders.Autoencoder.from_config({**model.get_config(), "corruption": noise})
    noisy.compile("adam")
    with pytest.warns(UserWarning, match="random state was not loaded"):
        noisy.load_weights(tmp_path / "v.weights.h5")
    np.testing.assert_array_equal(noisy.encode(x), model.encode(x))


def test_a_loaded_model_keeps_what_compile_was_given(x, tmp_path):
    model = autoencoders.get("aae_mlp", input_shape=(8, 8, 1), hidden_units=(16,))
    model.compile(
        keras.optimizers.Adam(0.02),
        loss="mae",
        phase_optimizers={"generator": keras.optimizers.SGD(0.3, momentum=0.5)},
        metrics=[keras.metrics.MeanSquaredError(name="mse")],
        steps_per_execution=2,
    )
    model.fit(x, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = autoencoders.load(tmp_path / "model.keras")
    assert loaded.evaluate(x, verbose=0, return_dict=True) == model.evaluate(
        x, verbose=0, return_dict=True
    )
    assert loaded.steps_per_execution == 2
    assert [type(o).__name__ for o in loaded.phase_optimizers.values()] == ["Adam", "Adam", "SGD"]
    for ours, theirs in zip(
        loaded.phase_optimizers.values(), model.phase_optimizers.values(), strict=True
    ):
        assert ours.get_config() == theirs.get_config()


def test_an_uncompiled_model_loads_for_inference(x, tmp_path):
    model = _vae()
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False)
    np.testing.assert_array_equal(loaded.encode(x), model.encode(x))
    with pytest.raises(ValueError, match="compile"):
        loaded.fit(x, verbose=0)


def test_keras_may_be_imported_first(tmp_path):
    """The check suite's fresh process imports this package first; here it is Keras."""
    checks.save_interrupted("vae_mlp", tmp_path)
    checks.resume_in_fresh_process(tmp_path, first_import="keras")
    checks.check_resumed("vae_mlp", tmp_path)


# The shuffle order --------------------------------------------------------------------------------


def _epochs(rows, count, *, shuffle=True, steps_per_epoch=None):
    """The rows of each batch of the first epochs; both ways of feeding a model give the same."""
    state = keras.Variable(np.array([7, 0]), dtype="int64")
    order = Order(rows, state, batch_size=4, shuffle=shuffle, steps_per_epoch=steps_per_epoch)
    arrays = (np.arange(rows), -np.arange(rows))
    dataset, feed = batches(arrays, order), Feed(arrays, order)
    seen = []
    for _ in range(count):
        epoch = [(a.numpy().tolist(), b.numpy().tolist()) for a, b in dataset]
        feed.begin()
        for a, b in epoch:
            ((_, (chunk, begin, _)),) = feed.take(1)
            assert [part[begin].numpy().tolist() for part in chunk] == [a, b]
        assert all(a == [-number for number in b] for a, b in epoch)
        state.assign_add(np.array([0, 1]))
        seen.append([a for a, _ in epoch])
    return seen


def _flat(lists):
    return list(itertools.chain.from_iterable(lists))


def test_each_epoch_sees_every_row_once_in_an_order_of_its_own():
    epochs = _epochs(10, 3)
    assert [[len(batch) for batch in epoch] for epoch in epochs] == [[4, 4, 2]] * 3
    orders = [_flat(epoch) for epoch in epochs]
    assert all(sorted(order) == list(range(10)) for order in orders)
    assert len({tuple(order) for order in orders}) == 3
    assert _epochs(10, 3) == epochs
    assert [_flat(epoch) for epoch in _epochs(10, 2, shuffle=False)] == [list(range(10))] * 2


def test_steps_per_epoch_goes_on_where_the_last_epoch_ended():
    batches = _flat(_epochs(10, 3, steps_per_epoch=2))
    assert [len(batch) for batch in batches] == [4, 4, 2, 4, 4, 2]
    for one_pass in (batches[:3], batches[3:]):
        assert sorted(_flat(one_pass)) == list(range(10))


def test_every_order_is_equally_likely():
    """Of three rows, each of the six orders comes up a sixth of the time."""
    state = keras.Variable(np.array([7, 0]), dtype="int64")
    order = Order(3, state, batch_size=3, shuffle=True)
    orders = []
    for _ in range(1200):
        orders.append(tuple(order.epoch()[0]))
        state.assign_add(np.array([0, 1]))
    counts = [orders.count(order) for order in sorted(set(orders))]
    assert len(counts) == 6
    # Chi-squared with 5 degrees of freedom: below 20.5 with probability 0.999.
    assert sum((count - 200) ** 2 / 200 for count in counts) < 20.5
