"""Models whose layers are quantised or adapted (LoRA) after they were made."""

import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import layers, networks
from autoencoders.models.stacked import RestrictedBoltzmannMachine
from autoencoders.networks.dense import kernel_of
from tests import dense
from tests.dense import rows
from tests.kept import facts


def _quantised_by_hand(kernel, levels, groups):
    """What the integers of a kernel stand for, scaled by the largest weight of each unit.

    With groups of inputs the integers lie between their smallest and largest weight instead.
    """
    if groups is None:
        scale = np.abs(kernel).max(axis=0) / levels
        return np.round(kernel / scale) * scale
    parts = []
    for start in range(0, len(kernel), groups):
        part = kernel[start : start + groups]
        low, high = np.minimum(part.min(axis=0), 0), np.maximum(part.max(axis=0), 0)
        step = (high - low) / 15
        parts.append(np.round(part / step) * step)
    return np.concatenate(parts)


INT4 = keras.quantizers.Int4QuantizationConfig


@pytest.mark.parametrize(
    ("config", "levels", "groups"),
    [
        (keras.quantizers.Int8QuantizationConfig(), 127, None),
        (INT4(block_size=None), 8, None),
        (INT4(block_size=4), 15, 4),
    ],
    ids=["int8", "int4", "int4 in groups"],
)
def test_a_tied_decoder_has_the_rounded_kernel(config, levels, groups):
    model = autoencoders.Autoencoder(*networks.mlp((6,), 3, tied_weights=True))
    model.build((None, 6))
    code = model.encoder.get_layer("code")
    kernel = code.kernel.numpy()
    model.quantize(config=config)
    rounded = np.asarray(kernel_of(code))
    step = (kernel.max(axis=0) - kernel.min(axis=0)).max() / levels
    np.testing.assert_allclose(rounded, kernel, atol=1.1 * step)
    by_hand = _quantised_by_hand(kernel, levels, groups)
    np.testing.assert_allclose(rounded, by_hand, atol=1.1 * step)
    z = np.eye(3, dtype="float32")
    np.testing.assert_allclose(model.decode(z), rounded.T, atol=1e-6)
    # The layer itself takes unit vectors to the rows of its kernel; a unit vector loses nothing.
    np.testing.assert_allclose(code(np.eye(6, dtype="float32")), rounded, atol=1e-5)


def test_the_closed_form_of_a_contraction_has_the_rounded_kernel():
    penalty = layers.ContractivePenalty(1.0)
    model = autoencoders.Autoencoder(*networks.mlp((6,), 3), penalties=[penalty])
    model.compile("adam")
    model.quantize("int8")
    kernel = np.asarray(kernel_of(model.encoder.get_layer("code")))
    logs = model.evaluate(rows(), verbose=0, return_dict=True)
    assert logs["contractive_loss"] == pytest.approx(np.square(kernel).sum(), rel=1e-5)


def _same(before, model):
    return all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_what_cannot_be_quantised_is_left_as_it_is():
    model = dense.build()
    before = model.get_weights()
    with pytest.raises(ValueError, match="no layer that `filters` choose"):
        model.quantize("int8", filters="no such name")
    with pytest.raises(ValueError, match=r"by 'gptq', which is for .* 'int8', 'int4', 'float8'"):
        model.quantize(config=keras.quantizers.GPTQConfig(dataset=[""], tokenizer=str))
    assert _same(before, model)
    model.quantize("int8", filters="code")
    assert model.encoder.get_layer("hidden_1").quantization_mode is None
    before = model.get_weights()
    with pytest.raises(ValueError, match=r"\['code'\] of 'autoencoder.*' are quantised already"):
        model.quantize("int4")
    assert _same(before, model)
    machine = RestrictedBoltzmannMachine(4, 3)
    machine.compile("sgd")
    with pytest.raises(ValueError, match="no layer that Keras can quantise"):
        machine.quantize("int8")


def test_programs_do_not_outlive_quantising():
    x = rows()
    model = dense.build()
    model.fit(x, verbose=0)
    plain, code = model.predict(x, verbose=0), model.encode(x)
    model.quantize("int4")
    assert not np.array_equal(model.predict(x, verbose=0), plain)
    np.testing.assert_allclose(model.predict(x, verbose=0), model(x), atol=1e-6)
    assert not np.array_equal(model.encode(x), code)
    assert model.trained is True
    assert model.epochs_trained == 1


def test_training_says_what_it_does_not_train():
    model = dense.build()
    model.quantize("int8")
    assert model.trained is False
    kernel = model.encoder.get_layer("code").kernel.numpy()
    said = r"\['code', 'hidden_1', 'output'\] .* not trained"
    with facts.eagerly(), pytest.warns(UserWarning, match=said):
        model.fit(rows(), verbose=0)
    np.testing.assert_array_equal(model.encoder.get_layer("code").kernel, kernel)
    assert np.any(model.encoder.get_layer("code").bias)


def _adapted(model):
    layer = model.encoder.get_layer("hidden_1")
    layer.enable_lora(2)
    return layer


def test_quantising_merges_adapters():
    model = dense.build()
    layer = _adapted(model)
    with facts.eagerly():
        model.fit(rows(), epochs=3, verbose=0)
    merged = layer.kernel.numpy()
    model.quantize("int8")
    assert len(layer.weights) == 3
    step = np.abs(merged).max() / 127
    np.testing.assert_allclose(kernel_of(layer), merged, atol=0.51 * step)
    assert model.trained is True


def test_adapters_of_quantised_layers_are_refused_before_a_file_is_written(tmp_path):
    model = dense.build()
    model.quantize("int8")
    _adapted(model)
    for use in (lambda: model.fit(rows(), verbose=0), lambda: model.save(tmp_path / "model.keras")):
        with pytest.raises(ValueError, match=r"\['hidden_1'\].* quantised and have adapters"):
            use()
    assert list(tmp_path.iterdir()) == []


def test_optimizers_begin_anew_for_weights_that_they_do_not_know():
    model = dense.build()
    with facts.eagerly():
        model.fit(rows(), verbose=0)
        rate = float(model.optimizer.learning_rate)
        layer = _adapted(model)
        with pytest.warns(UserWarning, match="its optimizers begin anew"):
            model.fit(rows(), epochs=2, verbose=0)
    assert np.any(layer.lora_kernel_b)
    assert int(model.optimizer.iterations) == 4
    assert float(model.optimizer.learning_rate) == rate
    assert model.trained is True
    model = dense.build()
    _adapted(model)
    with facts.eagerly():
        model.fit(rows(), verbose=0)  # Nothing is lost, and nothing is said.


def test_what_is_adapted_and_not_trained_is_not_trained(tmp_path):
    model = dense.build()
    _adapted(model)
    assert model.trained is False
    model.save(tmp_path / "model.keras")
    assert autoencoders.load(tmp_path / "model.keras").trained is False


@pytest.mark.parametrize("change", ["quantize", "adapt"])
def test_layers_are_pretrained_before_they_are_changed(change):
    arguments = {"input_shape": (6,), "hidden_units": (4,), "latent_dim": 2}
    model = autoencoders.get("stacked_rbm_mlp", **arguments)
    before = model.get_weights()
    if change == "quantize":
        model.quantize("int8", filters="hidden_1")
    else:
        model.encoder.get_layer("hidden_1").enable_lora(1)
    before = model.get_weights()
    with pytest.raises(ValueError, match="'hidden_1' is quantised or has an adapter"):
        model.pretrain(np.abs(np.tanh(rows())), epochs=1, verbose=0)
    assert _same(before, model)


def test_a_detector_with_a_quantised_model(tmp_path):
    x = rows()
    with facts.eagerly():
        model = dense.build()
        model.fit(x, verbose=0)
        model.quantize("int8")
        detector = autoencoders.AnomalyDetector(model, contamination=0.1, random_state=0).fit(x)
        detector.save(tmp_path / "detector.keras")
        loaded = autoencoders.load(tmp_path / "detector.keras")
        scores = detector.score_samples(x)
        np.testing.assert_array_equal(scores, loaded.score_samples(x))
    errors = np.square(np.asarray(model(x)) - x).mean(axis=1)
    np.testing.assert_allclose(-scores, errors, rtol=1e-3)
