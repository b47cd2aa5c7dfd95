"""What does not fit together is said in the user's words, before anything is trained."""

import keras
import numpy as np
import pandas as pd
import polars as pl
import pytest
import tensorflow as tf
from keras import ops

import autoencoders
from autoencoders import AnomalyDetector, Autoencoder, losses, networks
from autoencoders.autoencoder import fitting
from autoencoders.frames import check_columns, numbers
from autoencoders.models.adversarial import AdversarialAutoencoder
from autoencoders.networks import endings

L = keras.layers
RNG = np.random.default_rng(0)

# Nothing here trains for long enough to use its codes.
pytestmark = pytest.mark.filterwarnings("ignore:Posterior collapse")


def network(*layers, takes=(2,)):
    return keras.Sequential([keras.Input(takes), *layers])


def function(ending):
    code = keras.Input((2,))
    return keras.Model(code, ending(L.Dense(4)(code)))


# How networks end ---------------------------------------------------------------------------------


def sigmoid_layer():
    return L.Activation("sigmoid")


SIGMOIDS = {
    "an argument": lambda: network(L.Dense(4, "sigmoid")),
    "a layer behind": lambda: network(L.Dense(4), L.Activation("sigmoid")),
    "before shapes": lambda: network(L.Dense(4, "sigmoid"), L.Reshape((4, 1)), L.Cropping1D(1)),
    "in a network": lambda: network(
        network(L.Dense(4), network(L.Activation("sigmoid"), takes=(4,)))
    ),
    "without an input": lambda: keras.Sequential([L.Dense(4, "sigmoid")]),
    "one layer": lambda: L.Dense(4, "sigmoid"),
    "for each step": lambda: network(L.RepeatVector(3), L.TimeDistributed(L.Dense(1, "sigmoid"))),
    "keras.activations": lambda: function(keras.activations.sigmoid),
    "keras.ops": lambda: function(lambda x: ops.reshape(ops.sigmoid(x), (-1, 2, 2))[:, :1]),
    "a function as argument": lambda: network(L.Dense(4, tf.nn.sigmoid)),
    "a decoder of series": lambda: networks.RecurrentDecoder(2, output="sigmoid"),
}


@pytest.mark.parametrize("name", SIGMOIDS)
def test_a_sigmoid_is_found_wherever_it_is(name):
    assert endings.ending(SIGMOIDS[name]()) == ("sigmoid", 0.0, 1.0)


def test_the_ranges_of_endings_are_those_of_the_activations():
    """Against the activations themselves, on a grid."""
    x = np.stack([np.linspace(-40.0, 40.0, 4001), np.zeros(4001)], axis=1).astype("float32")
    for name in endings._RANGES:
        if hasattr(keras.activations, name):
            y = ops.convert_to_numpy(getattr(keras.activations, name)(x))
            low, high = endings._RANGES[name]
            assert low - 1e-4 <= y.min() <= (low + 0.03 if np.isfinite(low) else -4), name
            assert high + 1e-4 >= y.max() >= (high - 0.03 if np.isfinite(high) else 4), name


def test_what_cannot_be_seen_is_not_guessed():
    @keras.saving.register_keras_serializable("tests")
    class Mine(keras.Model):
        def call(self, x):
            return ops.sigmoid(x)

    for unknown in (Mine(), function(lambda x: 1 / (1 + ops.exp(-x))), network(L.Dense(4, abs))):
        assert endings.ending(unknown) is None
    assert endings.ending(network(L.Dense(4), L.ReLU(6.0))) == ("relu", 0.0, 6.0)
    assert endings.ending(function(lambda x: ops.clip(x, -1, 3))) == ("clip", -1.0, 3.0)
    assert endings.ending(network(L.RepeatVector(3), L.LSTM(2))).name == "tanh"


# Networks of the user's own -----------------------------------------------------------------------


def test_the_encoder_of_keras_own_example_is_told_where_to_end():
    """Mean, log-variance and sample, as in the example of a variational autoencoder."""
    rows = keras.Input((8, 8, 1))
    hidden = L.Dense(5, name="hidden")(L.Flatten()(rows))
    mean, log_variance = (L.Dense(2, name=name)(hidden) for name in ("z_mean", "z_log_var"))
    encoder = keras.Model(rows, [mean, log_variance, L.Add(name="z")([mean, log_variance])])
    decoder = network(L.Dense(64), L.Reshape((8, 8, 1)))
    advice = r"3: 'z_mean', 'z_log_var', 'z'.*keras.Model\(encoder.input, (encoder.*output)\)`; or"
    for make in (
        lambda: autoencoders.get("vae_mlp", encoder=encoder, decoder=decoder),
        lambda: Autoencoder(encoder, decoder),
    ):
        with pytest.raises(ValueError, match=advice) as caught:
            make()
    assert "encoder.get_layer('hidden').output" in str(caught.value)
    followed = keras.Model(encoder.input, encoder.get_layer("hidden").output)
    model = autoencoders.get("vae_mlp", encoder=followed, decoder=decoder)
    assert model.latent_shape == (2,)


def test_networks_that_do_not_go_together_are_told_apart():
    def vae(**networks_of_ones_own):
        return autoencoders.get(
            "vae_mlp", **{"input_shape": (4, 4, 1), "hidden_units": (3,), **networks_of_ones_own}
        )

    with pytest.raises(ValueError, match=r"decoder takes codes of shape \(2,\).*shape \(5,\)"):
        vae(latent_dim=5, decoder=network(L.Dense(16), L.Reshape((4, 4, 1))))
    with pytest.raises(ValueError, match=r"\(16,\).*\(4, 4, 1\).*Reshape\(\(4, 4, 1\)\)"):
        vae(decoder=network(L.Dense(16)))
    with pytest.raises(ValueError, match=r"rows of shape \(16,\).*built for .*\(4, 4, 1\)"):
        vae(encoder=network(L.Dense(3), takes=(16,)))
    with pytest.raises(ValueError, match=r"takes 2 numbers for each element.*\(4, 4, 2\)"):
        vae(
            likelihood="learned_gaussian",
            decoder=network(L.Dense(16), L.Reshape((4, 4, 1))),
        )

    class Several(keras.Model):
        def __init__(self):
            super().__init__()
            self.flat = L.Flatten()

        def call(self, x):
            return self.flat(x), self.flat(x)

    with pytest.raises(ValueError, match="its `call` returns a tuple of 2"):
        vae(encoder=Several())
    with pytest.raises(TypeError, match="must be a Keras layer or model"):
        Autoencoder(lambda x: x, L.Dense(3))


def test_discriminators_put_out_one_logit():
    for layer, message in (
        (L.Dense(1, "sigmoid"), "ends in 'sigmoid'.*taken for a logit"),
        (L.Dense(2), r"one logit for each row, \(batch, 1\).*\(batch, 2\)"),
    ):
        discriminator = network(L.Dense(3), layer)
        model = AdversarialAutoencoder(*networks.mlp((6,), 2), discriminator=discriminator)
        with pytest.raises(ValueError, match=message):
            model.build((None, 6))


# Endings and likelihoods --------------------------------------------------------------------------


@pytest.mark.parametrize("activation", ["sigmoid", "softmax", "tanh", "relu", "softplus"])
def test_a_likelihood_of_logits_takes_no_activation(activation):
    decoder = network(L.Dense(6, activation))
    for likelihood in ("bernoulli", "continuous_bernoulli", "learned_gaussian"):
        wide = network(L.Dense(12, activation)) if "learned" in likelihood else decoder
        with pytest.raises(ValueError, match=f"ends in '{activation}'.*last activation"):
            small_vae(wide, likelihood)
    small_vae(decoder, "gaussian")  # which may be meant


def small_vae(decoder, likelihood):
    arguments = {"hidden_units": (3,), "likelihood": likelihood, "compile": False}
    return autoencoders.get("vae_mlp", input_shape=(6,), decoder=decoder, **arguments)


class OwnDecoder(keras.Model):
    """A decoder whose end cannot be seen, only tried."""

    def __init__(self, end):
        super().__init__()
        self.hidden = L.Dense(8, "relu")
        self.last = L.Dense(6)
        self.end = end

    def call(self, code):
        return self.end(self.last(self.hidden(code)))


def test_a_decoder_of_code_of_ones_own_is_tried():
    for end in (tf.sigmoid, lambda x: 1 / (1 + tf.exp(-x)), tf.nn.softmax, tf.tanh, tf.nn.relu):
        with pytest.raises(ValueError, match=r"by its output.*takes logits"):
            small_vae(OwnDecoder(end), "bernoulli")
    for end in (lambda x: x, lambda x: 10 * tf.tanh(x), tf.nn.leaky_relu, tf.zeros_like):
        small_vae(OwnDecoder(end), "bernoulli")
    encoder = network(L.Dense(2), takes=(6,))
    for end, fine in ((tf.sigmoid, True), (tf.identity, False)):
        model = Autoencoder(encoder, OwnDecoder(end))
        model.build((None, 6))
        if fine:
            model.compile("adam", "binary_crossentropy")
        else:
            with pytest.raises(ValueError, match=r"'linear, by its output'.*End it with 'sigmoid'"):
                model.compile("adam", "binary_crossentropy")


def test_a_file_of_such_a_model_is_read_with_a_warning(tmp_path, monkeypatch):
    with monkeypatch.context() as earlier:
        earlier.setattr(fitting, "check_ending", lambda model: None)
        model = small_vae(network(L.Dense(6, "sigmoid")), "bernoulli")
        model.save(tmp_path / "vae.keras")
    with pytest.warns(UserWarning, match="ends in 'sigmoid'.*takes logits"):
        loaded = autoencoders.load(tmp_path / "vae.keras")
    x = RNG.random((3, 6), "float32")
    np.testing.assert_array_equal(model(x), loaded(x))


# Losses and metrics -------------------------------------------------------------------------------


def ae(output="linear", input_shape=(6,), **arguments):
    arguments = {"hidden_units": (3,), "compile": False, **arguments}
    return autoencoders.get("ae_mlp", input_shape=input_shape, output=output, **arguments)


@pytest.mark.parametrize(
    ("loss", "linear", "activation"),
    [
        ("binary_crossentropy", "takes probabilities.*'sigmoid'", "sigmoid"),
        ("bce", "takes probabilities", "hard_sigmoid"),
        (keras.losses.BinaryCrossentropy(), "takes probabilities", "sigmoid"),
        (keras.losses.binary_crossentropy, "takes probabilities", "sigmoid"),
        (keras.losses.BinaryFocalCrossentropy(), "takes probabilities", "sigmoid"),
        (keras.losses.Dice(), "takes probabilities", "sigmoid"),
        ("categorical_crossentropy", "takes probabilities.*'softmax'", "softmax"),
        ("kl_divergence", "add up to 1.*'softmax'", "softmax"),
        ("poisson", "takes numbers of 0 or more.*'softplus'", "softplus"),
        ("mse", None, "tanh"),
    ],
    ids=lambda value: getattr(value, "name", None),
)
def test_a_loss_takes_what_the_decoder_puts_out(loss, linear, activation):
    if linear is None:
        ae().compile("adam", loss)
    else:
        with pytest.raises(ValueError, match=linear):
            ae().compile("adam", loss)
    ae(activation).compile("adam", loss)


def test_a_loss_of_logits_has_no_place_in_a_model_without_likelihood():
    loss = keras.losses.BinaryCrossentropy(from_logits=True)
    with pytest.raises(ValueError, match=r"ends in 'sigmoid'.*`from_logits=False`"):
        ae("sigmoid").compile("adam", loss)
    with pytest.warns(UserWarning, match=r"`predict`.*for the reconstruction"):
        ae().compile("adam", loss)
    with pytest.raises(ValueError, match="compares with classes"):
        ae().compile("adam", "sparse_categorical_crossentropy")
    with pytest.raises(ValueError, match="one number there"):
        ae("softmax", (4, 4, 1)).compile("adam", "categorical_crossentropy")


def test_the_targets_of_a_loss_are_in_its_range():
    model = ae("sigmoid")
    model.compile("adam", "binary_crossentropy")
    x = RNG.normal(size=(8, 6)).astype("float32")
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\].*got -"):
        model.fit(x, verbose=0)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\].*compiling it"):
        model.train_on_batch(x)


def test_names_of_metrics_that_are_free_are_taken(tmp_path):
    model = small_vae(network(L.Dense(6)), "bernoulli")
    named = keras.metrics.MeanSquaredError
    for metrics in (
        {"metrics": [[named(name="kl_loss")]]},
        {"weighted_metrics": [named(name="loss")]},
        {"metrics": ["mae", named(name="val_mae")]},
        {"metrics": [named(name="bottleneck.beta")]},  # as `callbacks.Anneal` logs it
        {"metrics": [named(name="learning_rate")]},
    ):
        with pytest.raises(ValueError, match="A metric has the name"):
            model.compile("adam", **metrics)
        assert not model.compiled
    free = ["mse", named(name="kl")]
    model.compile("adam", metrics=free, steps_per_execution=np.int64(1), run_eagerly=True)
    x = RNG.random((8, 6), "float32")
    model.fit(x, epochs=np.int64(1), batch_size=np.int32(4), verbose=0)
    model.save(tmp_path / "vae.keras")
    loaded = autoencoders.load(tmp_path / "vae.keras")
    logs = loaded.evaluate(x, return_dict=True, verbose=0)
    assert {"mse", "kl", "kl_loss"} <= set(logs)


# Rows ---------------------------------------------------------------------------------------------


def test_padding_is_a_number():
    for value in (np.nan, np.float32("nan"), np.inf, "0", True):
        with pytest.raises(ValueError, match="`mask_value` must be a finite number or None"):
            autoencoders.get("ae_gru", input_shape=(None, 2), units=(3,), mask_value=value)
    model = autoencoders.get("ae_gru", input_shape=(5, 2), units=(3,), mask_value=np.float32(-1))
    assert type(model.mask_value) is float


def frames():
    """Frames of the same numbers, and those numbers."""
    columns = {"a": [0.5, 1.5, 2.5], "b": [1, 2, 3], "c": [True, False, True]}
    expected = np.array(list(columns.values()), "float32").T
    plain = pd.DataFrame(columns)
    nullable = plain.astype({"a": "Float64", "b": "Int64", "c": "boolean"})
    return [plain, nullable, pl.DataFrame(columns)], expected


def test_frames_of_any_numbers_are_taken():
    found, expected = frames()
    model = ae(input_shape=(3,))
    for frame in found:
        np.testing.assert_array_equal(model.expectation.array(frame, "x"), expected)
    for frame, column in ((found[1].astype("Int64"), "Int64"), (found[1].astype("boolean"), "b")):
        assert model.expectation.array(frame, "x").dtype == "float32", column
    gaps = [found[1].mask(found[1]["b"] == 2), found[2].with_columns(b=pl.Series([1, None, 3]))]
    masked = np.ma.masked_array(expected, expected == 2)
    for gap in (*gaps, masked):
        with pytest.raises(ValueError, match=r"1 of 3 rows hold NaN or infinity.*row 1"):
            model.expectation.array(gap, "x")
    dates = found[0].assign(b=pd.Timestamp("2020-01-01"))
    words = found[2].with_columns(b=pl.Series(["x", "y", "z"]))
    for frame in (dates, words):
        with pytest.raises(ValueError, match=r"`x` must be numeric, but has the columns \['b'\]"):
            model.expectation.array(frame, "x")
        with pytest.raises(ValueError, match=r"`X` must be numeric, but has the columns \['b'\]"):
            AnomalyDetector("ae_mlp").fit(frame)
    for sparse in (found[2].lazy(), tf.sparse.from_dense(expected)):
        with pytest.raises(ValueError, match="must be one dense array"):
            model.expectation.array(sparse, "x")


def test_a_pipeline_without_shapes_is_checked_against_the_models():
    model = ae()
    model.compile("adam")
    rows = RNG.random((4, 5), "float32")
    spec = tf.TensorSpec(None)
    pipeline = tf.data.Dataset.from_generator(lambda: iter([(rows,)]), output_signature=(spec,))
    for loop in (model.fit, model.evaluate):
        with pytest.raises(ValueError, match=r"must have shape \[any,6\], got \[4,5\]"):
            loop(pipeline, verbose=0)


BYTES = np.rint(255 * RNG.random((40, 8, 8, 1))).astype("float32")


def own(*front, end=None):
    model = Autoencoder(
        network(*front, L.Flatten(), L.Dense(2), takes=(8, 8, 1)),
        network(L.Dense(64, end), L.Reshape((8, 8, 1))),
    )
    model.build((None, 8, 8, 1))
    return model


def test_images_of_bytes_are_noticed_unless_the_model_scales_them(recwarn):
    quiet = [
        own(L.Rescaling(1 / 255)),
        own(L.BatchNormalization()),
        own(L.Normalization(mean=100.0, variance=4.0)),
        small_vae_of_images(losses.Gaussian(30.0)),
    ]
    for model in quiet:
        model.expectation.look((BYTES,))
    for table in (100 * RNG.normal(size=(9, 100)), RNG.poisson(99, size=(9, 100))):
        ae(input_shape=(100,)).expectation.look((table,))
    assert not recwarn.list
    for model in (
        own(),
        own(L.Conv2D(2, 3), L.BatchNormalization()),
        small_vae_of_images("laplace"),
    ):
        with pytest.warns(UserWarning, match="values of 0 to 255"):
            model.expectation.look((BYTES,))
    flat = BYTES.reshape(40, 64)
    with pytest.warns(UserWarning, match="values of 0 to 255"):
        ae(input_shape=(64,)).expectation.look((flat,))


def small_vae_of_images(likelihood):
    arguments = {"hidden_units": (3,), "likelihood": likelihood, "compile": False}
    return autoencoders.get("vae_mlp", input_shape=(8, 8, 1), **arguments)


def test_targets_out_of_the_decoders_reach_are_noticed():
    x = RNG.normal(size=(20, 6)).astype("float32")
    for output in ("sigmoid", "tanh", "relu"):
        with pytest.warns(UserWarning, match=f"ends in '{output}'.*values from -"):
            ae(output).expectation.look((x,))
    with pytest.warns(UserWarning, match="ends in 'sigmoid'.*from 0 to 255"):
        own(L.Rescaling(1 / 255), end="sigmoid").expectation.look((BYTES,))
    ae("sigmoid").expectation.look((x, np.clip(x, 0.0, 1.005)))  # the target counts


@pytest.mark.parametrize("eagerly", [False, True])
def test_it_is_said_by_fit_of_arrays_and_of_pipelines(eagerly):
    model = own()
    model.compile("adam", run_eagerly=eagerly)
    for x in (BYTES, tf.data.Dataset.from_tensor_slices(BYTES).batch(10)):
        with pytest.warns(UserWarning, match="values of 0 to 255") as caught:
            model.fit(x, verbose=0)
        if not eagerly:
            assert len(caught) == 1


# Codes --------------------------------------------------------------------------------------------


class Sampling(L.Layer):
    """Adds noise always; to so many rows, or to as many as there are."""

    def __init__(self, rows=None):
        super().__init__()
        self.rows = rows

    def call(self, x):
        shape = keras.ops.shape(x)
        return x + keras.random.normal((self.rows or shape[0], shape[1]))


def _sampled(rows=None):
    inputs = keras.Input((6,))
    encoder = keras.Model(inputs, Sampling(rows)(L.Dense(2)(inputs)))
    return autoencoders.Autoencoder(encoder, network(L.Dense(6)))


def test_an_encoder_that_samples_is_remarked_upon():
    with pytest.warns(UserWarning, match="another code each time.*GaussianBottleneck"):
        _sampled().compile("adam")


def test_an_encoder_with_a_batch_size_of_its_own():
    with pytest.raises(ValueError, match="gives 32 codes for one row"):
        _sampled(rows=32).compile("adam")


# Frames -------------------------------------------------------------------------------------------


def test_columns_for_any_objects_that_hold_numbers_are_taken():
    frame = pd.DataFrame({"a": [1.0, None], "b": [2, 3]}).astype(object)
    np.testing.assert_array_equal(numbers(frame, "x", "float32"), [[1, 2], [np.nan, 3]])
    with pytest.raises(ValueError, match=r"has the columns \['b'\]"):
        check_columns(frame.assign(b=["2", "3"]), "x")
