"""Numbers that follow schedules, and callbacks of Keras's that watch loss terms."""

import math

import keras
import numpy as np
import pytest
import tensorflow as tf

import autoencoders
from autoencoders import callbacks, layers
from tests.kept import facts

SCHEDULES = {
    "linear": callbacks.Linear(0.25, 2.0, over=4),
    "cosine": callbacks.Cosine(2.0, 0.5, over=4),
    "sigmoid": callbacks.Sigmoid(0.0, 1.0, over=4, steepness=6.0),
    "cyclical": callbacks.Cyclical(0.0, 1.0, over=3, rising=0.9),
    "own": lambda time: 0.5 * time,
}

pytestmark = pytest.mark.filterwarnings("ignore:Posterior collapse")


def _vae(**compiled):
    keras.utils.set_random_seed(1)
    model = autoencoders.get("vae_mlp", input_shape=(64,), latent_dim=2, hidden_units=(6,))
    model.compile("adam", **compiled)
    return model


@pytest.fixture(scope="module")
def rows():
    (x, _), _ = autoencoders.datasets.digits()
    return x[:64].reshape(-1, 64)


# Schedules ----------------------------------------------------------------------------------------


def test_schedules_give_the_values_of_their_papers():
    times = np.arange(0, 13, 0.5)
    value = {name: [schedule(time) for time in times] for name, schedule in SCHEDULES.items()}
    np.testing.assert_allclose(value["linear"], np.interp(times, [0, 4], [0.25, 2.0]), rtol=1e-15)
    done = np.minimum(times / 4, 1)
    np.testing.assert_allclose(value["cosine"], 0.5 + 0.75 * (1 + np.cos(np.pi * done)), rtol=1e-15)
    # Bowman's logistic function of (step - centre), with its ends cut off.
    curve = 1 / (1 + np.exp(-6.0 * (done - 0.5)))
    low, high = 1 / (1 + math.exp(3.0)), 1 / (1 + math.exp(-3.0))
    np.testing.assert_allclose(value["sigmoid"], (curve - low) / (high - low), atol=1e-12)
    # Fu's equations 6 and 7.
    tau = np.mod(times, 3) / 3
    np.testing.assert_allclose(value["cyclical"], np.where(tau <= 0.9, tau / 0.9, 1.0), atol=1e-12)


@pytest.mark.parametrize("name", ["linear", "cosine", "sigmoid", "cyclical"])
def test_schedules_begin_and_end_exactly(name):
    schedule = SCHEDULES[name]
    assert schedule(0) == schedule.start
    if name == "cyclical":
        uneven = callbacks.Cyclical(0.0, 1.0, over=0.1)
        assert [uneven(0.1 * number) for number in range(9)] == [0.0] * 9
        schedule = callbacks.Cyclical(0.1, 0.3, over=3, cycles=4)
        assert schedule(9) == 0.1 < schedule(9.1) < schedule(12) == schedule(12.1) == 0.3
    else:
        assert schedule(4) == schedule(400) == schedule.end


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: callbacks.Linear(math.nan, 1.0, 3), "`start` must be a finite number"),
        (lambda: callbacks.Linear(0.0, "1", 3), "`end` must be a finite number"),
        (lambda: callbacks.Cosine(0.0, 1.0, 0), "`over` must be above 0"),
        (lambda: callbacks.Sigmoid(0.0, 1.0, 3, -1.0), "`steepness` must be above 0"),
        (lambda: callbacks.Cyclical(0.0, 1.0, 3, 1.5), "`rising` must be above 0 and at most 1"),
        (lambda: callbacks.Cyclical(0.0, 1.0, 3, cycles=0), "`cycles` must be a positive integer"),
        (lambda: callbacks.Anneal("gamma", max, "batch"), "`every` must be one of 'epoch', 'step'"),
        (lambda: callbacks.Anneal("gamma", 0.3), "`schedule` must be a function of the time"),
        (lambda: callbacks.Anneal(3, max), "`attribute` must be the way to a number"),
        (lambda: callbacks.Anneal("gamma", max, begin=-1), "`begin` must be an integer, 0 or more"),
    ],
)
def test_what_a_schedule_cannot_have_is_an_error(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Annealing ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "every"), [*((name, "epoch") for name in SCHEDULES), ("cyclical", "step")]
)
def test_a_run_that_is_stopped_saved_and_loaded_follows_the_schedule(name, every, rows, tmp_path):
    batch_size = 64 if every == "epoch" else 32

    def fit(model, **epochs):
        anneal = callbacks.Anneal("bottleneck.beta", SCHEDULES[name], every)
        fitted = {"batch_size": batch_size, "callbacks": [anneal], "verbose": 0}
        return model.fit(rows, **fitted, **epochs).history

    with facts.eagerly():
        whole = _vae()
        history = fit(whole, epochs=3)
        begun = _vae()
        first = fit(begun, epochs=1)
        begun.save(tmp_path / "begun.keras")
        loaded = autoencoders.load(tmp_path / "begun.keras")
        # As Keras counts epochs, and without.
        rest = {"epochs": 2} if name == "linear" else {"epochs": 3, "initial_epoch": 1}
        second = fit(loaded, **rest)
    for term, values in history.items():
        assert values == first[term] + second[term], term
    for ours, theirs in zip(whole.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    times = np.arange(3) if every == "epoch" else 2 * np.arange(3) + 1
    assert history["bottleneck.beta"] == [SCHEDULES[name](time) for time in times]


@pytest.mark.parametrize("pipeline", [False, True], ids=["arrays", "pipeline"])
def test_programs_see_the_values(pipeline, rows):
    """The KL in each epoch is beta times that of a model whose weights stay as they are."""
    model = _vae()
    model.compile(keras.optimizers.SGD(0.0))
    anneal = callbacks.Anneal("bottleneck.beta", callbacks.Linear(1.0, 3.0, over=2))
    data = tf.data.Dataset.from_tensor_slices(rows).batch(32) if pipeline else rows
    history = model.fit(data, epochs=4, callbacks=[anneal], verbose=0).history
    assert history["bottleneck.beta"] == [1.0, 2.0, 3.0, 3.0]
    kl = history["kl_loss"]
    np.testing.assert_allclose(np.divide(kl, kl[0]), [1.0, 2.0, 3.0, 3.0], rtol=1e-5)
    assert model.bottleneck.beta == 3.0


@pytest.mark.parametrize(
    ("attribute", "message"),
    [
        ("bottleneck.betta", r"Did you mean 'bottleneck.beta'\?"),
        ("beta", r"Did you mean 'bottleneck.beta'\?"),
        ("penalties[0].weight", "Known: bottleneck.beta"),
        ("", "Unknown number of 'vae_mlp' ''"),
        ("bottleneck..beta", r"Did you mean 'bottleneck.beta'\?"),
        ("bottleneck.warm_up", "is a switch"),
        ("bottleneck.latent_dim", "is structure, and fixed"),
        ("bottleneck", "is structure, and fixed"),
        ("encoder.layers[0].units", "Unknown number"),
        ("optimizer.learning_rate", "Unknown number"),
    ],
)
def test_what_is_no_number_is_refused_before_the_first_step(attribute, message, rows):
    model = _vae(run_eagerly=True)
    before = model.get_weights()
    with pytest.raises(ValueError, match=message):
        model.fit(rows, callbacks=[callbacks.Anneal(attribute, float)], verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_number_in_a_list_and_one_that_a_schedule_takes_out_of_bounds(rows):
    keras.utils.set_random_seed(0)
    networks = autoencoders.networks.mlp((64,), 2, (4,))
    model = autoencoders.Autoencoder(*networks, penalties=[layers.ActivityPenalty(l1=1.0)])
    model.compile("adam", run_eagerly=True)
    anneal = callbacks.Anneal("penalties[0].l1", callbacks.Linear(1.0, -1.0, over=1))
    with pytest.raises(ValueError, match=r"`l1` must be a number of 0 or more, got -1.0"):
        model.fit(rows, epochs=3, callbacks=[anneal], verbose=0)
    assert model.epochs_trained == 1
    assert model.penalties[0].l1 == 1.0


def test_a_schedule_that_begins_later_and_a_number_that_is_off(rows):
    model = _vae(run_eagerly=True)
    model.fit(rows, batch_size=64, epochs=2, verbose=0)
    late = callbacks.Anneal("bottleneck.beta", callbacks.Linear(0.0, 1.0, over=2), begin=2)
    off = callbacks.Anneal("bottleneck.capacity", lambda time: 0.1 if time > 2 else None)
    fitted = {"batch_size": 64, "epochs": 2, "callbacks": [late, off], "verbose": 2}
    history = model.fit(rows, **fitted).history
    assert history["bottleneck.beta"] == [0.0, 0.5]
    np.testing.assert_array_equal(history["bottleneck.capacity"], [math.nan, 0.1])


def test_what_sees_no_single_steps_or_is_no_autoencoder_is_refused(rows):
    model = _vae(steps_per_execution=2)
    anneal = callbacks.Anneal("bottleneck.beta", float, "step")
    with pytest.raises(ValueError, match="`steps_per_execution=2` runs so many steps"):
        model.fit(rows, callbacks=[anneal], verbose=0)
    inputs = keras.Input((64,))
    whole = keras.Model(inputs, model(inputs))
    whole.compile("sgd", "mse", run_eagerly=True)
    anneal = callbacks.Anneal("layers[1].bottleneck.beta", float)
    with pytest.raises(ValueError, match="is a Functional: set"):
        whole.fit(rows, rows, callbacks=[anneal], verbose=0)


# Directions ---------------------------------------------------------------------------------------


def test_early_stopping_watches_a_term(rows):
    model = _vae(run_eagerly=True)
    stop = keras.callbacks.EarlyStopping("val_kl_loss", patience=1, restore_best_weights=True)
    grow = callbacks.Anneal("bottleneck.beta", lambda epoch: 1.0 + 5.0 * (epoch > 1))
    history = model.fit(
        rows, epochs=9, validation_data=rows, callbacks=[grow, stop], verbose=0
    ).history
    assert stop.stopped_epoch == 2
    assert stop.best == min(history["val_kl_loss"])
