"""Networks for series against NumPy, and padding against no padding."""

import itertools
import json
import warnings
from contextlib import contextmanager

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

import autoencoders
from autoencoders import layers, losses, networks
from autoencoders.training.row_runner import RowRunner
from autoencoders.training.step import Batch

RNG = np.random.default_rng(0)
PAD = -9.0
LENGTHS = (5, 2, 1, 3)

BUILDS = {
    "rnn": ("ae_rnn", {}),
    "gru_reversed": ("ae_gru", {"reverse_targets": True}),
    "lstm_forced": ("ae_lstm", {"teacher_forcing": True, "units": (5, 4)}),
    "gru_forced_reversed": ("ae_gru", {"teacher_forcing": True, "reverse_targets": True}),
    "bilstm": ("ae_bilstm", {"units": (5, 4)}),
    "bilstm_reversed": ("ae_bilstm", {"reverse_targets": True}),
    "bigru_to_lstm_forced": (
        "ae_gru",
        {
            "bidirectional": True,
            "decoder_cell": "lstm",
            "decoder_bidirectional": False,
            "teacher_forcing": True,
            "reverse_targets": True,
        },
    ),
    "lstm_to_birnn": ("ae_lstm", {"decoder_cell": "rnn", "decoder_bidirectional": True}),
    "recursive": ("ae_recursive", {"units": (7, 5)}),
    "vae": ("vae_lstm", {}),
    "vae_forced": (
        "vae_lstm",
        {"teacher_forcing": True, "reverse_targets": True, "likelihood": "learned_gaussian"},
    ),
    "vae_bernoulli": ("vae_lstm", {"teacher_forcing": True, "likelihood": "bernoulli"}),
}


@pytest.fixture(autouse=True)
def _draws_alike():
    """Each test draws the same numbers, whichever ran before."""
    RNG.bit_generator.state = np.random.default_rng(0).bit_generator.state


@pytest.fixture(autouse=True)
def _short_examples(monkeypatch):
    """Series of open length are built with 2 steps and 3, which takes far less than 32 and 48."""
    zeros = autoencoders.Autoencoder._zeros

    def few_steps(self, open_size=32):
        return zeros(self, open_size // 16)

    monkeypatch.setattr(autoencoders.Autoencoder, "_zeros", few_steps)


def build(name, **arguments):
    """A small model with weights of which none is zero."""
    name, own = BUILDS.get(name, (name, {}))
    arguments = {"input_shape": (None, 2), "latent_dim": 3, "units": (5,), **own, **arguments}
    model = autoencoders.get(name, **arguments)
    shake(model)
    return model


def build_eager(name, **arguments):
    """The same, for many shapes: it is not traced for each."""
    model = build(name, compile=False, **arguments)
    model.compile("adam", run_eagerly=True)
    return model


def build_quick(name, **arguments):
    """The same, for programs that have to be traced: SGD has the fewest operations."""
    model = build(name, compile=False, **arguments)
    model.compile("sgd")
    return model


@contextmanager
def without_graphs():
    """Within it, functions run over rows as they are: a length is not worth a graph of its own."""

    def run(self, name, function, x, batch_size=None, row_bytes=0):
        return function(*(tf.constant(part) for part in x)).numpy()

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RowRunner, "run", run)
        yield


def shake(network):
    for variable in network.trainable_variables:
        variable.assign(variable + RNG.normal(scale=0.3, size=variable.shape))


def series(*shape):
    return RNG.uniform(0.1, 0.9, size=shape).astype("float32")


def padded(rows, steps, value=PAD):
    result = np.full((len(rows), steps, rows[0].shape[-1]), value, "float32")
    for row, part in zip(result, rows, strict=True):
        row[: len(part)] = part
    return result


# Padding ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", BUILDS)
def test_padding_changes_nothing(name):
    pad = 0.0 if name == "vae_bernoulli" else PAD  # within the likelihood's support
    model = build_eager(name, mask_value=pad)
    rows = [series(length, 2) for length in LENGTHS]
    x = ops.convert_to_tensor(padded(rows, 6, pad))
    codes, predicted = model.encode(x), model(x).numpy()
    errors = model.reconstruction_error(x)  # in a graph, as elsewhere
    with without_graphs():
        by_feature = model.reconstruction_error(x, per_feature=True)
    for i, row in enumerate(rows):
        alone, steps = ops.convert_to_tensor(row[None]), len(row)
        np.testing.assert_allclose(codes[i], model.encode(alone)[0], atol=1e-5)
        expected = model(alone)[0]
        np.testing.assert_allclose(predicted[i, :steps], expected, atol=1e-5)
        np.testing.assert_array_equal(predicted[i, steps:], x[i, steps:])
        np.testing.assert_allclose(errors[i], np.square(row - expected).mean(), rtol=1e-4)
        np.testing.assert_allclose(by_feature[i, :steps], np.square(row - expected), atol=1e-5)
        assert not by_feature[i, steps:].any()
    with without_graphs():
        error = model.reconstruction_error(rows[1][None])[0]
    np.testing.assert_allclose(errors[1], error, rtol=1e-4)
    alone = model.evaluate(rows[1][None], verbose=0)
    assert model.evaluate(x[1:2].numpy(), verbose=0) == pytest.approx(alone, rel=1e-4)


@pytest.mark.parametrize("name", [name for name in BUILDS if not name.startswith("vae")])
def test_training_on_padded_series_is_training_on_series(name):
    model = build_eager(name, mask_value=PAD)
    rows = [series(length, 2) for length in LENGTHS]
    clean = [series(length, 2) for length in LENGTHS]

    def gradients(x, target):
        with tf.GradientTape() as tape:
            batch = Batch(*(ops.convert_to_tensor(part) for part in (x, target)))
            loss = model.reconstruction_phase(batch, True)["reconstruction_loss"]
        found = tape.gradient(loss, [variable.value for variable in model.trainable_variables])
        return [np.asarray(loss), *(np.asarray(gradient) for gradient in found)]

    together = gradients(padded(rows, 6), padded(clean, 6))
    alone = [gradients(x[None], y[None]) for x, y in zip(rows, clean, strict=True)]
    for value, *values in zip(together, *alone, strict=True):
        np.testing.assert_allclose(value, np.mean(values, axis=0), atol=1e-5)


@pytest.mark.parametrize("name", ["bilstm", "gru_forced_reversed", "recursive", "vae_forced"])
def test_company_changes_nothing(name):
    model = build(name, mask_value=PAD)
    row = series(4, 2)
    x = padded([row, series(8, 2), series(2, 2)], 8)
    nothing_but_padding = padded([row[:0], row, row[:0]], 8)
    assert model.reconstruction_error(x)[0] == model.reconstruction_error(nothing_but_padding)[1]
    np.testing.assert_array_equal(model.encode(x)[0], model.encode(nothing_but_padding)[1])
    assert np.isfinite(model.encode(nothing_but_padding)).all()
    np.testing.assert_array_equal(model.reconstruction_error(nothing_but_padding)[[0, 2]], 0.0)


class Shift(keras.layers.Layer):
    """A corruption after which no step looks like padding."""

    def call(self, x, training=None):
        return x + 0.5 if training else x


@pytest.mark.parametrize("name", ["bilstm", "recursive"])
def test_corruption_hides_no_padding(name):
    plain = build(name, mask_value=PAD)
    model = autoencoders.Autoencoder(
        plain.encoder, plain.decoder, corruption=Shift(), mask_value=PAD
    )
    row = series(3, 2)
    x = padded([row], 6)
    shifted = model(x, training=True)[0, :3]
    np.testing.assert_allclose(shifted, model(row[None], training=True)[0], atol=1e-5)
    np.testing.assert_allclose(shifted, plain(row[None] + 0.5)[0], atol=1e-5)
    np.testing.assert_array_equal(model(x, training=True)[0, 3:], x[0, 3:])


class Twice(layers.Bottleneck):
    num_samples = 2

    def call(self, features):
        return features

    def draw(self, features, training):
        return ops.repeat(features, 2, axis=0), {}


def test_several_codes_for_a_row():
    plain = build_eager("lstm_forced", mask_value=PAD)
    parts = (plain.encoder, plain.decoder)
    model = autoencoders.Autoencoder(*parts, bottleneck=Twice(), mask_value=PAD)
    model.compile("adam", run_eagerly=True)
    x = padded([series(5, 2), series(2, 2)], 6)
    assert model.evaluate(x, verbose=0) == pytest.approx(plain.evaluate(x, verbose=0), rel=1e-5)
    batch = Batch(ops.convert_to_tensor(x), ops.convert_to_tensor(x))
    losses_ = [
        float(m.reconstruction_phase(batch, True)["reconstruction_loss"]) for m in (model, plain)
    ]
    assert losses_[0] == pytest.approx(losses_[1], rel=1e-5)


# Recurrent networks against NumPy -----------------------------------------------------------------


def sigmoid(x):
    return 1.0 / (1.0 + np.exp(-x))


def lstm_step(weights, x, state):
    """Hochreiter & Schmidhuber (1997), with the forget gate of Gers et al. (2000)."""
    kernel, recurrent_kernel, bias = weights
    h, c = state
    i, f, g, o = np.split(x @ kernel + h @ recurrent_kernel + bias, 4, axis=-1)
    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
    return sigmoid(o) * np.tanh(c), c


def by_hand(decoder, z, steps, target=None):
    """An LSTM decoder with teacher forcing, written out."""
    *cells, (kernel, bias) = [
        [np.asarray(w, "float64") for w in part.weights]
        for part in (*decoder.hidden[0].cell.cells, decoder.dense)
    ]
    states = [(np.zeros((len(z), len(w[1]))),) * 2 for w in cells]
    element, outputs = np.zeros((len(z), decoder.features)), []
    for t in range(steps):
        x = np.concatenate([z, element], axis=-1)
        for layer, weights in enumerate(cells):
            states[layer] = lstm_step(weights, x, states[layer])
            x = states[layer][0]
        outputs.append(x @ kernel + bias)
        own = sigmoid(outputs[-1]) if decoder.likelihood else outputs[-1]
        element = own if target is None else target[:, t]
    return np.stack(outputs, axis=1)


@pytest.mark.parametrize("likelihood", [None, losses.Bernoulli()], ids=["plain", "bernoulli"])
def test_teacher_forcing_is_the_loop_written_out(likelihood):
    """Forced it sees the target; free-running its own reconstruction, not its logits."""
    decoder = networks.RecurrentDecoder(2, (5, 4), teacher_forcing=True, likelihood=likelihood)
    z, target = RNG.normal(size=(3, 4)).astype("float32"), series(3, 6, 2)
    decoder(z, steps=6)
    shake(decoder)
    free = decoder(z, steps=6)
    np.testing.assert_allclose(free, by_hand(decoder, z, 6), atol=1e-5)
    forced = decoder(z, steps=6, target=target, training=True)
    np.testing.assert_allclose(forced, by_hand(decoder, z, 6, target), atol=1e-5)
    assert np.abs(forced - free).max() > 1e-3


@pytest.mark.parametrize("cell", ["gru", "rnn"])
def test_free_running_is_forced_by_its_own_output(cell):
    decoder = networks.RecurrentDecoder(2, (5, 4), cell=cell, teacher_forcing=True)
    z = RNG.normal(size=(3, 4)).astype("float32")
    free = decoder(z, steps=6)
    np.testing.assert_allclose(decoder(z, steps=6, target=free, training=True), free, atol=1e-6)


def test_evaluation_is_free_running_and_training_is_forced():
    model = build_eager("lstm_forced")
    x, target = series(4, 6, 2), series(4, 6, 2)
    batch = Batch(*(ops.convert_to_tensor(part) for part in (x, target)))
    z = model.encode(x)
    for training, seen in ((True, target), (False, None)):
        expected = np.square(by_hand(model.decoder, z, 6, seen) - target).mean()
        loss = model.reconstruction_phase(batch, training)["reconstruction_loss"]
        assert float(loss) == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(model.decode(z, steps=9), by_hand(model.decoder, z, 9), atol=1e-5)


def test_the_encoder_is_the_last_state():
    encoder, _ = networks.recurrent((None, 2), 3, (5, 4))
    shake(encoder)
    x = series(3, 7, 2)
    steps = [x[:, t] for t in range(7)]
    for layer in encoder.layers[1:3]:
        state = (np.zeros((3, layer.units)),) * 2
        weights = layer.get_weights()
        steps = [(state := lstm_step(weights, step, state))[0] for step in steps]
    kernel, bias = encoder.layers[-1].get_weights()
    np.testing.assert_allclose(encoder(x), steps[-1] @ kernel + bias, atol=1e-5)


@pytest.mark.parametrize("bidirectional", [False, True])
def test_the_decoder_repeats_the_code(bidirectional):
    decoder = networks.RecurrentDecoder(2, (5, 4), cell="gru", bidirectional=bidirectional)
    z = RNG.normal(size=(3, 4)).astype("float32")
    decoder(z, steps=6)
    shake(decoder)
    reference = keras.Sequential([keras.Input((4,)), keras.layers.RepeatVector(6)])
    for units in (5, 4):
        layer = keras.layers.GRU(units, return_sequences=True)
        reference.add(keras.layers.Bidirectional(layer) if bidirectional else layer)
    reference.add(keras.layers.TimeDistributed(keras.layers.Dense(2)))
    parts = (*decoder.hidden, decoder.dense)
    reference.set_weights([weight for part in parts for weight in part.get_weights()])
    np.testing.assert_allclose(decoder(z, steps=6), reference(z), atol=1e-6)


@pytest.mark.parametrize("teacher_forcing", [False, True])
def test_reversed_targets_are_the_series_flipped(teacher_forcing):
    """From the end it puts out what a plain decoder does from the beginning, of flipped targets."""
    plain, turned = (
        networks.RecurrentDecoder(
            2, (5, 4), teacher_forcing=teacher_forcing, reverse_targets=reverse_targets
        )
        for reverse_targets in (False, True)
    )
    z = RNG.normal(size=(len(LENGTHS), 4)).astype("float32")
    plain(z, steps=6), turned(z, steps=6)
    shake(plain)
    turned.set_weights(plain.get_weights())
    rows = [series(length, 2) for length in LENGTHS]
    mask = np.arange(6) < np.array(LENGTHS)[:, None]
    for training in (False, True):
        target = {"target": padded(rows, 6)} if training else {}
        output = np.asarray(turned(z, steps=6, mask=mask, training=training, **target))
        for i, (row, steps) in enumerate(zip(rows, LENGTHS, strict=True)):
            flipped = {"target": row[None, ::-1]} if training else {}
            expected = plain(z[i : i + 1], steps=steps, training=training, **flipped)
            np.testing.assert_allclose(output[i, :steps], expected[0, ::-1], atol=1e-5)


# Recursive networks against recursion -----------------------------------------------------------


def apply(layers_, x):
    for layer in layers_:
        kernel, bias = layer.get_weights()
        x = np.tanh(x @ kernel + bias)
    return x


def count(steps, level):
    """Nodes of a level of the tree over so many leaves."""
    return -(-steps // 2**level)


def fold(tree, x, level, i):
    if level == 0:
        return apply([tree.embedding], x[i])
    left = fold(tree, x, level - 1, 2 * i)
    if 2 * i + 1 == count(len(x), level - 1):
        return left
    return apply(tree.merge, np.concatenate([left, fold(tree, x, level - 1, 2 * i + 1)]))


def unfold(tree, node, steps, level, i):
    if level == 0:
        kernel, bias = tree.dense.get_weights()
        return [node @ kernel + bias]
    if 2 * i + 1 == count(steps, level - 1):
        return unfold(tree, node, steps, level - 1, 2 * i)
    left, right = np.split(apply(tree.split, node), 2)
    left = unfold(tree, left, steps, level - 1, 2 * i)
    return left + unfold(tree, right, steps, level - 1, 2 * i + 1)


def test_recursive_networks_are_the_recursion():
    encoder, decoder = networks.recursive((None, 2), 3, (7, 5))
    tree = encoder.get_layer("tree")
    decoder(np.zeros((1, 3)), steps=2)
    shake(encoder), shake(decoder)
    kernel, bias = encoder.get_layer("code").get_weights()
    for steps in range(1, 18):
        x, height = series(steps, 2), int(np.ceil(np.log2(steps)))
        code = fold(tree, x, height, 0) @ kernel + bias
        np.testing.assert_allclose(encoder(x[None])[0], code, atol=1e-5)
        expected = unfold(decoder, apply([decoder.root], code), steps, height, 0)
        np.testing.assert_allclose(
            decoder(code[None].astype("float32"), steps=steps)[0], expected, atol=1e-5
        )


def test_a_recursive_network_needs_to_know_the_length():
    model = build_quick("ae_recursive")
    open_ = tf.data.Dataset.from_tensor_slices(series(4, 6, 2)).padded_batch(4, (None, 2))
    with pytest.raises(ValueError, match=r"number of steps, which these batches leave open"):
        model.fit(open_, verbose=0)
    model.fit(open_.map(lambda x: tf.ensure_shape(x, (None, 6, 2))), verbose=0)
    build_quick("ae_rnn").fit(open_, verbose=0)


# As models ----------------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:Posterior collapse")  # after two epochs of six rows
@pytest.mark.parametrize("name", ["bilstm", "recursive", "vae_forced"])
def test_one_model_for_series_of_any_length(name, tmp_path):
    # The recursive one, whose programs depend most on the length, has a program for each.
    model = build_quick(name) if name == "recursive" else build_eager(name)
    for length in (9, 1):
        x = series(6, length, 2)
        assert np.isfinite(model.fit(x, verbose=0).history["loss"]).all()
    assert model.predict(x, verbose=0).shape == x.shape
    codes = model.encode(x)
    assert model.decode(codes, steps=5).shape == (6, 5, 2)
    assert model.row_shape == (None, 2)
    with pytest.raises(ValueError, match="pass `steps`"):
        model.decode(codes)
    model.save(tmp_path / "model.keras")
    twin = autoencoders.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(twin.predict(x, verbose=0), model.predict(x, verbose=0))
    assert json.loads(json.dumps(twin.get_config())) == json.loads(json.dumps(model.get_config()))


def test_xla_is_left_out_of_recurrent_networks():
    if tf.config.list_logical_devices("GPU"):
        pytest.skip("the choice is for CPUs")
    for name in ("gru_forced_reversed", "gru_reversed"):
        model = build_quick(name)
        model.fit(series(8, 5, 2), verbose=0)
        assert model.training_loop.xla_from is None
        assert "TensorList" in model.training_loop.reason


def test_recurrent_and_dense_networks_mix():
    x = series(20, 4, 2)
    dense = networks.mlp((4, 2), 3, (8,))
    recurrent = networks.recurrent((4, 2), 3, (5,))
    recursive = networks.recursive((4, 2), 3, (5,))
    for (encoder, _), (_, decoder) in itertools.permutations((dense, recurrent, recursive), 2):
        model = autoencoders.Autoencoder(encoder, decoder)
        model.compile("adam", run_eagerly=True)
        before = model.evaluate(x, verbose=0)
        model.fit(x, epochs=2, verbose=0)
        assert model.evaluate(x, verbose=0) < before
    model = autoencoders.get("ae_lstm", encoder=dense[0], latent_dim=3)
    assert model.row_shape == (4, 2)
    model = autoencoders.get("vae_lstm", decoder=dense[1], input_shape=(4, 2))
    assert model.latent_shape == (3,)


def test_cudnn_is_left_out_of_padded_series():
    """Its kernels refuse rows of padding alone, with which small batches are filled up."""
    for masked, expected in ((False, "auto"), (True, False)):
        encoder, decoder = networks.recurrent((6, 2), 3, (5,), masked=masked)
        assert encoder.get_layer("hidden_1").use_cudnn == expected
        assert decoder.hidden[0].use_cudnn == expected


def test_what_does_not_go():
    with pytest.raises(ValueError, match=r"Unknown cell 'ltsm'. Did you mean 'lstm'"):
        networks.recurrent((6, 2), 3, cell="ltsm")
    with pytest.raises(ValueError, match="Unknown cell"):
        networks.recurrent((6, 2), 3, decoder_cell="lstms", teacher_forcing=True)
    with pytest.raises(ValueError, match=r"decoder_bidirectional=False"):
        autoencoders.get("ae_bilstm", teacher_forcing=True)
    with pytest.raises(ValueError, match="only the `likelihood` tells"):
        networks.recurrent((6, 2), 3, teacher_forcing=True, parameters=2)
    for network in (networks.recurrent, networks.recursive):
        for wrong in ((6,), (6, 2, 1), (6, None), 6, (0, 2)):
            with pytest.raises(ValueError, match=r"`input_shape` must be \(steps, features\)"):
                network(wrong, 3)
        with pytest.raises(ValueError, match="one layer at least"):
            network((6, 2), 3, ())


@pytest.mark.parametrize("mask_value", [-0.1, -999.9])
def test_half_precision_knows_padding_that_it_cannot_hold(mask_value):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(4, 5, 2)).astype("float32")
    padded = x.copy()
    padded[:, 3:] = mask_value
    policy = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = autoencoders.get(
            "ae_gru",
            input_shape=(None, 2),
            units=(4,),
            latent_dim=3,
            mask_value=mask_value,
            compile=False,
        )
    finally:
        keras.mixed_precision.set_global_policy(policy)
    errors = model.reconstruction_error(padded)
    with without_graphs():
        alone = model.reconstruction_error(x[:, :3])
    np.testing.assert_allclose(errors, alone, rtol=1e-2)
    np.testing.assert_array_equal(model(tf.constant(padded))[:, 3:], padded[:, 3:])


def test_padding_may_lie_outside_the_likelihoods_support():
    x = np.random.default_rng(0).uniform(size=(8, 5, 2)).astype("float32")
    x[:, 3:] = -1.0
    arguments = {"input_shape": (5, 2), "units": (4,), "latent_dim": 2}
    model = autoencoders.get("vae_lstm", likelihood="bernoulli", mask_value=-1.0, **arguments)
    model.run_eagerly = True
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Posterior collapse")
        model.fit(x, verbose=0)
    x[2, 1, 0] = 1.5
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\].*got .* to 1.5"):
        model.fit(x, verbose=0)


def test_weighted_metrics_leave_padding_out():
    x = np.random.default_rng(0).normal(size=(3, 6, 2)).astype("float32")
    x[:, 1:] = -9.0
    arguments = {"input_shape": (None, 2), "units": (4,), "mask_value": -9.0}
    model = autoencoders.get("ae_gru", compile=False, **arguments)
    model.compile("adam", weighted_metrics=["mse"], run_eagerly=True)
    padded = model.evaluate(x, verbose=0, return_dict=True)
    alone = model.evaluate(x[:, :1], verbose=0, return_dict=True)
    assert padded["mse"] == pytest.approx(alone["mse"], rel=1e-5)
    assert padded["loss"] == pytest.approx(alone["loss"], rel=1e-5)


def test_a_zoo_model_of_padded_series_becomes_a_classifier():
    x = np.random.default_rng(0).normal(size=(12, 6, 2)).astype("float32")
    x[:, 4:] = -9.0
    model = autoencoders.get("ae_gru", input_shape=(6, 2), units=(4,), mask_value=-9.0)
    classifier = model.to_classifier(2)
    with warnings.catch_warnings():  # of a mask that the encoder as a whole does not hand on
        warnings.filterwarnings("ignore", ".*does not support masking")
        classifier.fit(x, np.arange(12) % 2, verbose=0)
        told = classifier.predict(x, verbose=0)
    by_code = classifier.get_layer("classes")(model.encode(x))
    np.testing.assert_allclose(told, by_code, atol=1e-5)


def test_other_weights_and_arguments_of_series_of_any_length(tmp_path):
    arguments = {"input_shape": (None, 2), "units": (4,), "latent_dim": 3}
    trained = autoencoders.get("ae_lstm", **arguments)
    trained.save(tmp_path / "m.keras")
    same = autoencoders.get("ae_lstm", weights=tmp_path / "m.keras", **arguments)
    x = np.random.default_rng(0).normal(size=(3, 7, 2)).astype("float32")
    np.testing.assert_array_equal(same.encode(x), trained.encode(x))
    with pytest.raises(ValueError, match="rows of one length"):
        autoencoders.get("ae_mlp", weights="digits").decode(np.zeros((1, 16), "float32"), steps=9)
