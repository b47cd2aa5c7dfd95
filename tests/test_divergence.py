"""A loss or weights that become NaN or infinite: found, told as that, and undone."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import autoencoders
from autoencoders import callbacks, networks
from tests import checks

RNG = np.random.default_rng(0)
DIVERGED = r"Training of '.*' diverged in epoch {}: .* became "


@pytest.fixture
def x():
    return RNG.normal(size=(64, 6)).astype("float32")


def model(optimizer="adam", **arguments):
    keras.utils.set_random_seed(0)
    made = autoencoders.Autoencoder(*networks.mlp((6,), 3, (8,)), **arguments)
    made.compile(optimizer)
    return made


def breaking(epoch, what="kernel"):
    """A callback that spoils the weights as this epoch begins."""

    def spoil(number, logs):
        if number == epoch:
            trained = broken.model.trainable_variables[0]
            trained.assign(np.nan * trained)

    broken = keras.callbacks.LambdaCallback(on_epoch_begin=spoil)
    return broken


def said(caught):
    """What was said to the user: Keras's ways with NumPy warn, too."""
    return [str(one.message) for one in caught if one.category is UserWarning]


def assert_equal(ours, theirs):
    for a, b in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("options", [{}, {"steps_per_execution": 1}, {"jit_compile": True}])
def test_the_model_is_as_it_was_when_it_was_last_looked_at(options, x):
    def new():
        made = model()
        made.compile("adam", **options)
        return made

    expected = new()
    expected.fit(x, batch_size=1, epochs=4, verbose=0)  # 64 steps an epoch: looked at after four

    diverging = new()
    with pytest.warns(UserWarning, match=DIVERGED.format(6) + "nan.* as it was after epoch 4"):
        history = diverging.fit(x, batch_size=1, epochs=9, verbose=0, callbacks=[breaking(5)])
    assert history.diverged == 5
    assert history.epoch == list(range(6))
    assert diverging.epochs_trained == 4
    assert_equal(checks._state(expected), checks._state(diverging))

    for one in (expected, diverging):
        history = one.fit(x, batch_size=1, epochs=6, initial_epoch=4, verbose=0)
        assert history.diverged is None
    assert_equal(checks._state(expected), checks._state(diverging))


def test_a_first_epoch_that_diverges_leaves_the_model_as_it_was_before(x):
    diverging = model(keras.optimizers.SGD(1e4))
    before = diverging.get_weights()
    with pytest.warns(UserWarning, match="The model is as it was before `fit`") as caught:
        diverging.fit(x, batch_size=4, epochs=3, verbose=0)
    assert_equal(before, diverging.get_weights())
    assert diverging.trained is False
    (message,) = said(caught)
    assert "learning rate, 10000, is 1,000,000 times the default of SGD: lower it" in message


def test_the_scale_of_a_column_is_named(x):
    x[:, 4] *= 2e4
    diverging = model(keras.optimizers.SGD(0.01))
    with pytest.warns(UserWarning, match=r"reach \d\d,\d\d\d in column 4: scale them first"):
        diverging.fit(x, epochs=3, verbose=0)
    assert np.isfinite(diverging.predict(x, verbose=0)).all()


def test_pipelines_and_the_precision(x):
    diverging = model()
    diverging.dtype_policy = keras.DTypePolicy("mixed_float16")
    rows = tf.data.Dataset.from_tensor_slices(x).batch(16)
    with pytest.warns(UserWarning, match="computes in float16, which ends at 65,504"):
        diverging.fit(rows, epochs=3, verbose=0, callbacks=[breaking(1)])


def test_posterior_collapse_is_not_what_it_is_called(x):
    variational = autoencoders.get("vae_mlp", input_shape=(6,), likelihood="gaussian")
    with pytest.warns(UserWarning, match="diverged") as caught:
        variational.fit(x, epochs=3, verbose=0, callbacks=[breaking(1)])
    (message,) = said(caught)
    assert "diverged" in message


def test_weights_that_break_in_the_last_step_are_found(x):
    class Last(keras.optimizers.SGD):
        def update_step(self, gradient, variable, learning_rate):
            last = ops.equal(self.iterations, 15)
            super().update_step(
                ops.where(last, np.nan * gradient, gradient), variable, learning_rate
            )

    diverging = model(Last(0.01))
    with pytest.warns(UserWarning, match="in epoch 4: weights became NaN or infinite"):
        history = diverging.fit(x, batch_size=16, epochs=4, verbose=0)
    assert np.isfinite(history.history["loss"]).all()
    assert np.isfinite(diverging.predict(x, verbose=0)).all()


@pytest.mark.parametrize("name", ["vq_vae_mlp", "ae_mlp"])
def test_codebooks_and_moving_statistics_are_given_back(name, digits):
    rows = digits[0][:64]
    if name == "ae_mlp":
        layers = [keras.Input((64,)), keras.layers.Dense(8), keras.layers.BatchNormalization()]
        _, decoder = networks.mlp((64,), 8, ())
        diverging = autoencoders.Autoencoder(keras.Sequential(layers), decoder)
        diverging.compile("adam")
        rows = rows.reshape(-1, 64)
    else:
        diverging = checks.build(name)
    moving = diverging.non_trainable_weights
    assert moving
    before = diverging.get_weights()

    def spoil(epoch, logs):
        moving[0].assign(ops.full_like(moving[0], np.inf))

    breaks = keras.callbacks.LambdaCallback(on_epoch_begin=spoil)
    with pytest.warns(UserWarning, match=DIVERGED.format(1)):
        diverging.fit(rows, verbose=0, callbacks=[breaks])
    assert_equal(before, diverging.get_weights())


def test_the_first_overflows_of_a_loss_scaler_are_none(x):
    keras.config.set_dtype_policy("mixed_float16")
    try:
        scaled = autoencoders.Autoencoder(*networks.mlp((6,), 3, (8,)))
        scaled.compile(
            keras.optimizers.LossScaleOptimizer(keras.optimizers.Adam(), initial_scale=2.0**40)
        )
    finally:
        keras.config.set_dtype_policy("float32")
    history = scaled.fit(x, batch_size=4, epochs=3, verbose=0)
    assert history.diverged is None
    scale = float(ops.convert_to_numpy(scaled.optimizer.dynamic_scale))
    assert scale < 2.0**40


def test_a_guard_of_ones_own_may_go_on_and_leave_all_as_it_is(x):
    going_on = model()
    guard = callbacks.DivergenceGuard(stop=False, restore=False)
    with pytest.warns(UserWarning, match=DIVERGED.format(2)) as caught:
        history = going_on.fit(x, epochs=4, verbose=0, callbacks=[guard, breaking(1)])
    assert len(said(caught)) == 1
    assert history.diverged == guard.diverged == 1
    assert history.epoch == [0, 1, 2, 3]
    assert np.isnan(going_on.predict(x, verbose=0)).any()


def test_weights_that_are_broken_before_training(x):
    broken = model()
    broken.trainable_variables[0].assign(np.nan * broken.trainable_variables[0])
    with pytest.raises(ValueError, match="were NaN or infinite before training"):
        broken.fit(x, verbose=0)


def test_a_detector_does_not_take_a_model_that_never_learnt(x):
    untrained = model(keras.optimizers.SGD(1e30))
    detector = autoencoders.AnomalyDetector(untrained, epochs=2, scaler=None)
    with (
        pytest.warns(UserWarning, match="diverged"),
        pytest.raises(ValueError, match="diverged in its first epoch"),
    ):
        detector.fit(x)


def test_collapse_is_not_spoken_of_too_soon(digits):
    """Nor while a schedule, of the bottleneck's or of a callback's, is under way."""

    def fitted(epochs, more=(), **arguments):
        keras.utils.set_random_seed(0)
        collapsing = autoencoders.get(
            "vae_mlp", input_shape=(8, 8, 1), hidden_units=(4,), latent_dim=2, **arguments
        )
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            rows = digits[0][:100]
            collapsing.fit(rows, batch_size=1, epochs=epochs, verbose=0, callbacks=list(more))
        return [message[:18] for message in said(caught)]

    rising = callbacks.Anneal("bottleneck.beta", callbacks.Linear(1e3, 2e3, over=20))
    assert fitted(9, beta=1e3) == []
    assert fitted(11, beta=1e3) == ["Posterior collapse"]
    assert fitted(11, beta=1e6, warm_up=1200) == ["`fit` ended within"]
    assert fitted(11, [rising]) == []
