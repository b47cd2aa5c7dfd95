"""The base class: what compile takes, what the losses are, what a model answers."""

import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import autoencoders
from autoencoders import layers, losses, networks

RNG = np.random.default_rng(0)


@pytest.fixture
def x():
    return RNG.normal(size=(40, 6)).astype("float32")


@pytest.fixture
def model():
    return build()


def build(**parts):
    model = autoencoders.Autoencoder(*networks.mlp((6,), 3, (8,)), **parts)
    model.compile("adam")
    return model


# Losses -------------------------------------------------------------------------------------------


def test_the_default_loss_is_kerass_mean_squared_error(model, x):
    predicted = model.predict(x, verbose=0)
    assert model.evaluate(x, verbose=0)[0] == pytest.approx(
        np.square(x - predicted).mean(), rel=1e-5
    )


SAME_LOSS = ["mae", keras.losses.MeanAbsoluteError(), keras.losses.mean_absolute_error]


@pytest.mark.parametrize("loss", SAME_LOSS)
def test_compile_takes_any_keras_loss(model, x, loss):
    model.compile("adam", loss=loss)
    expected = np.abs(x - model.predict(x, verbose=0)).mean()
    assert model.evaluate(x, verbose=0)[0] == pytest.approx(expected, rel=1e-5)


def test_a_compiled_loss_sees_the_reconstruction_of_a_likelihood(x):
    x = 1 / (1 + np.exp(-x))
    model = build(likelihood=losses.Bernoulli())
    assert ((model.predict(x, verbose=0) > 0) & (model.predict(x, verbose=0) < 1)).all()
    model.compile("adam", loss="mse")
    expected = np.square(x - model.predict(x, verbose=0)).mean()
    assert model.evaluate(x, verbose=0)[0] == pytest.approx(expected, rel=1e-5)
    model.compile("adam")
    assert model.evaluate(x, verbose=0)[0] > 1.0  # in nats again
    with pytest.raises(ValueError, match="build it with `likelihood="):
        model.compile("adam", loss=losses.Gaussian())


def test_the_elbo_of_a_linear_gaussian_model_against_its_closed_form():
    """With a linear decoder both terms have closed forms; the sampled loss averages to them."""
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Identity()])
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
    model = autoencoders.Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.GaussianBottleneck(2),
        likelihood=losses.Gaussian(0.8),
    )
    model.compile("adam")
    row = RNG.normal(size=(1, 4)).astype("float32")
    mean, log_variance = (a.astype("float64")[0] for a in model.posterior(row))
    weights, bias = (w.astype("float64") for w in decoder.get_weights())
    residual = row[0] - (mean @ weights + bias)
    spread = (np.exp(log_variance)[:, None] * weights**2).sum()
    reconstruction = (residual @ residual + spread) / (2 * 0.8**2) + 4 * np.log(
        0.8 * np.sqrt(2 * np.pi)
    )
    kl = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum()
    logs = model.evaluate(
        np.repeat(row, 200_000, axis=0), batch_size=20_000, verbose=0, return_dict=True
    )
    assert logs["kl_loss"] == pytest.approx(kl, rel=1e-4)
    assert logs["reconstruction_loss"] == pytest.approx(reconstruction, rel=0.01)


def test_sample_weight_counts_a_row_that_often(x):
    """In every term: the Keras loss, the penalty, and the KL (which is not sampled)."""
    for parts, terms in (
        ({"penalties": [_penalty()]}, {"loss", "reconstruction_loss", "activity_loss"}),
        ({"bottleneck": layers.GaussianBottleneck(3)}, {"kl_loss"}),
    ):
        model = build(**parts)
        weighted = model.evaluate(
            x[:3], sample_weight=np.array([2.0, 0.0, 1.0]), verbose=0, return_dict=True
        )
        repeated = model.evaluate(x[[0, 0, 2]], verbose=0, return_dict=True)
        for term in terms:
            assert weighted[term] == pytest.approx(repeated[term], rel=1e-5), term


def test_penalties_and_regularizers_are_terms_of_their_own(x):
    encoder, decoder = networks.mlp((6,), 3)
    encoder = keras.Sequential([*encoder.layers, keras.layers.ActivityRegularization(l2=0.5)])
    decoder.layers[-1].kernel_regularizer = keras.regularizers.L2(0.1)
    decoder.layers[-1].kernel.regularizer = keras.regularizers.L2(0.1)
    model = autoencoders.Autoencoder(encoder, decoder, penalties=[_penalty()])
    model.compile("adam")
    logs = model.evaluate(x, batch_size=len(x), verbose=0, return_dict=True)
    assert set(logs) == {"loss", "reconstruction_loss", "activity_loss", "regularization_loss"}
    codes = model.encode(x)
    assert logs["activity_loss"] == pytest.approx(0.1 * np.abs(codes).sum(axis=1).mean(), rel=1e-4)
    kernel = decoder.layers[-1].kernel.numpy()
    activity = 0.5 * np.square(codes).sum() / len(x)
    assert logs["regularization_loss"] == pytest.approx(
        0.1 * np.square(kernel).sum() + activity, rel=1e-4
    )
    with pytest.raises(ValueError, match="'activity_loss' twice"):
        autoencoders.Autoencoder(encoder, decoder, penalties=[_penalty(), _penalty()])


def test_a_clean_target_is_what_counts(model, x):
    clean = RNG.normal(size=x.shape).astype("float32")
    expected = np.square(clean - model.predict(x, verbose=0)).mean()
    assert model.evaluate(x, clean, verbose=0)[0] == pytest.approx(expected, rel=1e-5)


def test_corruption_is_off_in_evaluation_and_on_in_training(x):
    model = build(corruption=layers.GaussianNoise(50.0))
    clean = model.evaluate(x, verbose=0)[0]
    assert clean == pytest.approx(np.square(x - model.predict(x, verbose=0)).mean(), rel=1e-5)
    assert model.fit(x, verbose=0).history["loss"][0] > 10 * clean


# Compile ------------------------------------------------------------------------------------------


def test_a_phase_without_its_own_optimizer_gets_a_copy():
    model = autoencoders.get("aae_mlp", input_shape=(6,), hidden_units=(8,))
    own = keras.optimizers.SGD(0.5)
    model.compile(keras.optimizers.Adam(0.01), phase_optimizers={"discriminator": own})
    optimizers = model.phase_optimizers
    assert list(optimizers) == ["reconstruction", "discriminator", "generator"]
    assert optimizers["discriminator"] is own
    assert optimizers["reconstruction"] is model.optimizer
    assert optimizers["generator"] is not model.optimizer
    assert float(optimizers["generator"].learning_rate) == pytest.approx(0.01)
    assert all(optimizer.built for optimizer in optimizers.values())
    with pytest.raises(ValueError, match="Did you mean 'generator'"):
        model.compile("adam", phase_optimizers={"generater": "sgd"})


def test_phases_update_their_own_variables_only(x):
    model = autoencoders.get("aae_mlp", input_shape=(6,), hidden_units=(8,))
    still = keras.optimizers.SGD(0.0)
    model.compile(still, phase_optimizers={"discriminator": keras.optimizers.SGD(0.1)})
    before = {part: getattr(model, part).get_weights() for part in PARTS}
    model.fit(x, verbose=0)
    for part in PARTS:
        same = all(
            np.array_equal(a, b)
            for a, b in zip(before[part], getattr(model, part).get_weights(), strict=True)
        )
        assert same == (part != "discriminator"), part


PARTS = ("encoder", "decoder", "discriminator")


def test_metrics_compare_the_target_with_the_prediction(model, x):
    model.compile("adam", metrics=[keras.metrics.MeanAbsoluteError(name="mae")])
    logs = model.evaluate(x, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "reconstruction_loss", "mae"}
    expected = np.abs(x - model.predict(x, verbose=0)).mean()
    assert logs["mae"] == pytest.approx(expected, rel=1e-5)
    assert {"mae", "val_mae"} <= set(model.fit(x, validation_split=0.25, verbose=0).history)


OPTIONS = [{"run_eagerly": True}, {"steps_per_execution": 3}, {"jit_compile": True}]


@pytest.mark.parametrize("options", OPTIONS)
def test_every_way_of_running_trains_alike(x, options):
    def train(**options):
        keras.utils.set_random_seed(1)
        model = build()
        model.compile(keras.optimizers.SGD(0.1), **options)
        return model.fit(x, batch_size=8, epochs=3, verbose=0).history["loss"], model.get_weights()

    (plain, weights), (other, others) = train(), train(**options)
    assert other == pytest.approx(plain, rel=1e-5)
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_frozen_parts_stay(model, x):
    model.encoder.trainable = False
    model.compile("adam")
    before = model.encoder.get_weights()
    model.fit(x, verbose=0)
    for old, new in zip(before, model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_two_replicas_train_as_one():
    """Under MirroredStrategy each replica sees half of a batch; the update is that of the whole."""
    code = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import autoencoders
x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
def train():
    keras.utils.set_random_seed(0)
    model = autoencoders.get("ae_mlp", input_shape=(6,), hidden_units=(8,))
    model.compile(keras.optimizers.SGD(0.1))
    losses = model.fit(x, batch_size=16, epochs=3, shuffle=False, verbose=0).history["loss"]
    return losses, model.get_weights()
plain, weights = train()
with tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"]).scope():
    mirrored, others = train()
np.testing.assert_allclose(plain, mirrored, rtol=1e-5)
for a, b in zip(weights, others):
    np.testing.assert_allclose(a, b, atol=1e-6)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


# Data ---------------------------------------------------------------------------------------------


def test_validation_data_is_checked_and_split_as_keras_does(model, x):
    with pytest.raises(ValueError, match="must be finite"):
        model.fit(x, validation_data=np.full((2, 6), np.nan), verbose=0)
    history = model.fit(x, epochs=1, validation_split=0.25, verbose=0).history
    assert history["val_loss"][0] == pytest.approx(model.evaluate(x[30:], verbose=0)[0], rel=1e-5)
    with pytest.raises(ValueError, match="leaves one part without rows"):
        model.fit(x[:2], validation_split=0.9, verbose=0)


def test_targets_outside_the_likelihoods_support(x):
    model = autoencoders.get("vae_mlp", input_shape=(6,))
    with pytest.raises(ValueError, match=r"`x` must lie in \[0, 1\].*another `likelihood`"):
        model.fit(x, verbose=0)
    with pytest.raises(ValueError, match=r"`y` must lie in \[0, 1\]"):
        model.fit(np.clip(x, 0, 1), x, verbose=0)
    model.fit(x, np.clip(x, 0, 1), verbose=0)

    def generator():
        yield (x,)

    with pytest.raises(ValueError, match=r"`x` must lie in \[0, 1\]"):
        model.fit(generator(), verbose=0)
    autoencoders.get("vae_mlp", input_shape=(6,), likelihood="gaussian").fit(x, verbose=0)


def test_other_bad_arguments(model, x):
    with pytest.raises(ValueError, match="as many rows as `x`, 40; got 39"):
        model.fit(x, x[1:], verbose=0)
    with pytest.raises(ValueError, match=r"`sample_weight` must be finite with shape \(n,\)"):
        model.fit(x, sample_weight=np.ones((40, 2)), verbose=0)
    with pytest.raises(ValueError, match="no classes to weigh"):
        model.fit(x, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(ValueError, match="one dense array, got a list"):
        model.fit([x, x], verbose=0)
    with pytest.raises(ValueError, match="must be finite"):
        model.train_on_batch(np.full((4, 6), np.nan, "float32"))
    with pytest.raises(ValueError, match="must be finite"):
        model.reconstruction_error(np.full((4, 6), 1e300))
    assert model.train_on_batch(x)[0] > 0
    assert model.test_on_batch(x) == model.test_on_batch(x)


def test_data_frames_and_other_floats(model, x):
    pandas = pytest.importorskip("pandas")
    assert model.reconstruction_error(pandas.DataFrame(x)).shape == (40,)


def test_other_float_types(model, x):
    expected = model.reconstruction_error(x)
    np.testing.assert_array_equal(model.reconstruction_error(x.astype("float64")), expected)
    model.fit(x.astype("float16"), verbose=0)


# Answers ------------------------------------------------------------------------------------------


def test_a_rows_answers_do_not_depend_on_its_company():
    model = autoencoders.get("vae_mlp", weights="digits")
    rows = autoencoders.datasets.digits()[1][0]
    errors, codes = model.reconstruction_error(rows), model.encode(rows)
    for i in (0, 17, 359):
        others = RNG.uniform(size=rows.shape).astype("float32")
        others[i] = rows[i]
        assert model.reconstruction_error(others)[i] == errors[i]
        np.testing.assert_array_equal(model.encode(others[: i + 1])[i], codes[i])
    np.testing.assert_array_equal(model.reconstruction_error(rows[:100]), errors[:100])


def test_reconstruction_error_per_feature_and_in_small_batches(model, x):
    by_feature = model.reconstruction_error(x, per_feature=True)
    assert by_feature.shape == x.shape
    np.testing.assert_allclose(by_feature, np.square(x - model.predict(x, verbose=0)), atol=1e-5)
    errors = model.reconstruction_error(x, batch_size=7)
    np.testing.assert_allclose(errors, by_feature.mean(axis=1), rtol=1e-5)


def test_answers_follow_the_weights(model, x):
    before = model.encode(x)
    model.fit(x, verbose=0)
    assert not np.array_equal(before, model.encode(x))
    np.testing.assert_allclose(model.encode(x), model.encoder.predict(x, verbose=0), atol=1e-6)


def test_tensors_give_tensors(model, x):
    codes = model.encode(ops.convert_to_tensor(x))
    assert ops.is_tensor(codes)
    assert ops.is_tensor(model.decode(codes))
    np.testing.assert_allclose(codes, model.encode(x), atol=1e-6)


def test_sampling_and_interpolation():
    model = autoencoders.get("vae_mlp", weights="digits")
    samples = model.sample(50, seed=1)
    assert samples.shape == (50, 8, 8, 1)
    assert ((samples > 0) & (samples < 1)).all()
    np.testing.assert_array_equal(samples, model.sample(50, seed=1))
    assert not np.array_equal(samples, model.sample(50, seed=2))
    assert not np.array_equal(model.sample(2), model.sample(2))

    x = autoencoders.datasets.digits()[1][0]
    line = model.interpolate(x[0], x[1], steps=5)
    assert line.shape == (5, 8, 8, 1)
    np.testing.assert_allclose(line[[0, -1]], model.predict(x[:2], verbose=0), atol=1e-5)
    middle = model.decode(model.encode(x[:2]).mean(axis=0, keepdims=True))
    np.testing.assert_allclose(line[2], middle[0], atol=1e-5)


def test_a_plain_model_says_what_it_cannot_do(model):
    with pytest.raises(ValueError, match="no prior to sample from"):
        model.sample(3)
    with pytest.raises(ValueError, match="not variational"):
        model.posterior(np.zeros((1, 6), "float32"))


def test_the_posterior_mean_is_the_code():
    model = autoencoders.get("vae_mlp", weights="digits")
    x = autoencoders.datasets.digits()[1][0]
    mean, log_variance = model.posterior(x)
    np.testing.assert_array_equal(mean, model.encode(x))
    assert log_variance.shape == mean.shape


# Building -----------------------------------------------------------------------------------------


def test_networks_without_a_shape_are_built_from_the_data(x):
    encoder = keras.Sequential([keras.layers.Dense(3)])
    model = autoencoders.Autoencoder(encoder, keras.Sequential([keras.layers.Dense(6)]))
    model.compile("adam")
    with pytest.raises(ValueError, match="does not know the shape of its input"):
        _ = model.latent_shape
    model.fit(x, verbose=0)
    assert model.optimizer.built
    assert model.encode(x).shape == (40, 3)


def test_parts_that_do_not_fit_together():
    encoder, _ = networks.mlp((6,), 3)
    _, decoder = networks.mlp((5,), 3)
    with pytest.raises(ValueError, match=r"decoder gives rows of shape \(5,\).*\(6,\)"):
        autoencoders.Autoencoder(encoder, decoder).compile("adam")
    with pytest.raises(TypeError, match=r"must be a layers\.Bottleneck"):
        autoencoders.Autoencoder(encoder, decoder, bottleneck=keras.layers.Dense(3))
    with pytest.raises(TypeError, match=r"must be a losses\.Likelihood"):
        autoencoders.Autoencoder(encoder, decoder, likelihood="bernoulli")


def _penalty():
    return layers.ActivityPenalty(l1=0.1)
