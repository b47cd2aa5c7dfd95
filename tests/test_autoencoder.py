"""What a model answers, and how it is built."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import autoencoders
from autoencoders import layers, networks
from autoencoders.models.adversarial import AdversarialAutoencoder
from tests.dense import RNG, build, rows


@pytest.fixture
def x():
    return rows()


@pytest.fixture
def model():
    return build()


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


@pytest.mark.parametrize("units", [20, 100, 256])
def test_a_rows_answers_do_not_depend_on_its_place(units):
    """Some processors round the last rows of a batch otherwise, unless there is no rest."""
    encoder, decoder = networks.mlp((units,), 7, (units + 1,))
    model = autoencoders.Autoencoder(encoder, decoder)
    row = RNG.normal(size=(1, units)).astype("float32")
    for count, batch_size in ((1500, None), (300, 32), (300, 100), (70, 8), (70, 5)):
        errors = model.reconstruction_error(np.repeat(row, count, axis=0), batch_size=batch_size)
        assert len(set(errors.tolist())) == 1, (count, batch_size)


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
    model.encoder.layers[1].enable_lora(2)  # other variables: what was compiled is outdated
    model.compile(keras.optimizers.Adam(0.1))
    model.fit(x, epochs=5, verbose=0)
    np.testing.assert_allclose(model.encode(x), model.encoder(x), atol=1e-5)


def test_tensors_give_tensors(model, x):
    errors = model.reconstruction_error(ops.convert_to_tensor(x))
    np.testing.assert_array_equal(errors, model.reconstruction_error(x))
    assert isinstance(errors, np.ndarray)
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


def test_a_plain_model_says_what_it_cannot_do(model, tmp_path):
    with pytest.raises(ValueError, match=r"`z` must have shape \(n, 3\), got \(2, 5\)"):
        model.decode(np.zeros((2, 5), "float32"))
    with pytest.raises(ValueError, match=r"save to a `\.keras` file"):
        model.save(tmp_path / "model.h5")
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


@pytest.mark.parametrize("first_use", ["build", "call", "train_on_batch", "predict"])
def test_a_model_built_after_compile_trains_alike(first_use, x):
    def dense(units):
        return keras.Sequential([keras.layers.Dense(units)])

    model = AdversarialAutoencoder(dense(3), dense(6), discriminator=dense(1))
    model.compile("adam")
    {
        "build": lambda: model.build((None, 6)),
        "call": lambda: model(x),
        "train_on_batch": lambda: model.train_on_batch(x),
        "predict": lambda: model.predict(x, verbose=0),
    }[first_use]()
    assert all(optimizer.built for optimizer in model.phase_optimizers.values())
    assert set(model.fit(x, verbose=0).history) == {
        *("loss", "reconstruction_loss", "discriminator_loss", "generator_loss")
    }


def test_compiling_again_without_metrics(model, x):
    model.compile("adam", metrics=["mse"])
    model.fit(x, verbose=0)
    model.compile("adam")
    assert set(model.evaluate(x, verbose=0, return_dict=True)) == {"loss", "reconstruction_loss"}


def test_averaged_weights_with_a_bottleneck(x):
    encoder, decoder = networks.mlp((6,), 3, (8,), code=False)
    model = AdversarialAutoencoder(
        encoder,
        decoder,
        bottleneck=layers.GaussianBottleneck(3),
        discriminator=networks.discriminator(3, (4,)),
    )
    model.compile(keras.optimizers.Adam(use_ema=True))
    model.fit(x, verbose=0)
    # Variables of two phases end at the average of the later one.
    for name, parts in (("reconstruction", ["decoder"]), ("generator", ["encoder", "bottleneck"])):
        (phase,) = (phase for phase in model.phases if phase.name == name)
        averages = model.phase_optimizers[name]._model_variables_moving_average
        own = {id(v) for part in parts for v in getattr(model, part).weights}
        pairs = zip(phase.variables, averages, strict=True)
        compared = [(v, average) for v, average in pairs if id(v) in own]
        assert len(compared) == len(own)
        for variable, average in compared:
            np.testing.assert_array_equal(variable, average)


def test_averaged_weights_take_their_place_in_every_phase(x):
    model = autoencoders.get("aae_mlp", input_shape=(6,), hidden_units=(8,))
    model.compile(keras.optimizers.Adam(0.01, use_ema=True, ema_momentum=0.5))
    model.fit(x, epochs=2, verbose=0)
    optimizer = model.phase_optimizers["discriminator"]
    averages = optimizer._model_variables_moving_average
    for variable, average in zip(model.discriminator.weights, averages, strict=True):
        np.testing.assert_array_equal(variable, average)


def test_export(model, x, tmp_path):
    expected = model.predict(x, verbose=0)
    model.reconstruction_error(x)
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    np.testing.assert_allclose(served.serve(x), expected, atol=1e-6)


def test_a_model_that_needs_labels_is_exported_with_them(x, tmp_path):
    model = autoencoders.get("cvae_mlp", input_shape=(6,), hidden_units=(4,), likelihood="gaussian")
    labels = np.arange(len(x), dtype="int32") % 10
    model.export(tmp_path / "served", verbose=False)
    served = tf.saved_model.load(tmp_path / "served")
    expected = model.predict((x, labels), verbose=0)
    np.testing.assert_allclose(served.serve((x, labels)), expected, atol=1e-6)
    assert np.abs(served.serve((x, (labels + 1) % 10)) - expected).max() > 1e-4


# Keras cannot know that the layers in the encoder do get the mask.
@pytest.mark.filterwarnings("ignore:(?s).*was passed an input with a mask:UserWarning")
@pytest.mark.parametrize("name", ["vae_mlp", "cvae_mlp", "vq_vae_mlp", "ae_rnn"])
def test_what_is_asked_about_rows_can_be_asked_in_a_functional_model(name):
    sizes = {"hidden_units": (4,)} if name.endswith("mlp") else {"units": (4,), "mask_value": -1.0}
    shape = (6,) if name.endswith("mlp") else (None, 2)
    model = autoencoders.get(name, input_shape=shape, latent_dim=2, **sizes)
    rows = RNG.uniform(size=(5, *(size or 7 for size in shape))).astype("float32")
    if shape[0] is None:
        rows[2:, 4:] = -1.0
    symbolic, given = keras.Input(shape), rows
    if model.needs_labels:
        symbolic, given = (symbolic, keras.Input((), dtype="int32")), (rows, np.arange(5))
    asked = keras.Model(symbolic, [model.encode(symbolic), model.reconstruction_error(symbolic)])
    codes, errors = asked(keras.tree.map_structure(tf.constant, given))
    np.testing.assert_allclose(codes, model.encode(given), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(errors, model.reconstruction_error(given), rtol=1e-4)


def test_what_needs_values_says_so_of_symbolic_tensors(model):
    symbolic = keras.Input((6,))
    for ask in (
        model.perturb,
        model.fit_prior,
        lambda x: model.interpolate(x, x),
        tf.function(model.perturb),
    ):
        given = tf.zeros((2, 6)) if isinstance(ask, type(tf.function(len))) else symbolic
        with pytest.raises(ValueError, match=r"needs rows that have values: .* NumPy arrays"):
            ask(given)
    rows = tf.ones((3, 6))
    errors = tf.function(model.reconstruction_error)(rows)
    np.testing.assert_allclose(errors, model.reconstruction_error(rows), rtol=1e-5)
    assert isinstance(model.reconstruction_error(rows), np.ndarray)


def test_rows_of_any_length():
    """Sizes that the networks leave open stay open; one that only the decoder fixes is fixed."""
    x = RNG.normal(size=(9, 12, 3)).astype("float32")
    encoder = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(4, return_sequences=True)])
    decoder = keras.Sequential([keras.Input((None, 4)), keras.layers.Dense(3)])
    model = autoencoders.Autoencoder(encoder, decoder)
    model.compile("adam")
    for length in (12, 1, 5):
        model.fit(x[:, :length], verbose=0)
        assert model.reconstruction_error(x[:, :length]).shape == (9,)
        codes = model.encode(x[:, :length])
        assert model.decode(codes).shape == (9, length, 3)
    assert model.latent_shape == (None, 4)

    encoder = keras.Sequential([keras.Input((None, 3)), keras.layers.GRU(4)])
    decoder = keras.Sequential([keras.Input((4,)), keras.layers.RepeatVector(12)])
    decoder.add(keras.layers.Dense(3))
    model = autoencoders.Autoencoder(encoder, decoder)
    model.compile("adam")
    model.fit(x, verbose=0)
    with pytest.raises(ValueError, match=r"must have shape \(n, 12, 3\), got \(9, 5, 3\)"):
        model.fit(x[:, :5], verbose=0)


def test_series_of_any_length_interpolate_and_perturb_at_theirs():
    x = RNG.normal(size=(5, 7, 2)).astype("float32")
    model = autoencoders.get("ae_gru", input_shape=(None, 2), units=(4,))
    line = model.interpolate(x[0], x[1], steps=3)
    assert line.shape == (3, 7, 2)
    np.testing.assert_allclose(line[[0, 2]], model.predict(x[:2], verbose=0), atol=1e-5)
    moved = model.perturb(x[:, :4], mean=0.5)
    assert moved.shape == (5, 1, 4, 2)
    codes = model.encode(x[:, :4]) + np.float32(0.5)
    np.testing.assert_allclose(moved[:, 0], model.decode(codes, steps=4), atol=1e-5)


def test_parts_that_do_not_fit_together():
    encoder, _ = networks.mlp((6,), 3)
    _, decoder = networks.mlp((5,), 3)
    with pytest.raises(ValueError, match=r"decoder gives rows of shape \(5,\).*\(6,\)"):
        autoencoders.Autoencoder(encoder, decoder).compile("adam")
    with pytest.raises(TypeError, match=r"must be a layers\.Bottleneck"):
        autoencoders.Autoencoder(encoder, decoder, bottleneck=keras.layers.Dense(3))
    with pytest.raises(TypeError, match=r"must be a losses\.Likelihood"):
        autoencoders.Autoencoder(encoder, decoder, likelihood="bernoulli")
