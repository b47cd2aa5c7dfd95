"""Fine-tuning as Keras users do it: frozen layers, other sizes, saving on the way."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import autoencoders
from autoencoders import layers, networks
from benchmarks import finetuning
from tests import test_docs
from tests.kept import facts

pytestmark = pytest.mark.filterwarnings("ignore:Posterior collapse")

ROWS = np.random.default_rng(0).random((48, 6), "float32")
SMALL = {"input_shape": (6,), "hidden_units": (5,), "latent_dim": 3}


def _assert_stays(layer, train):
    before = layer.get_weights()
    assert before
    with facts.eagerly():
        train()
    for old, new in zip(before, layer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def _assert_resumes(model, path, x=ROWS):
    """It trains one epoch, and two more: as it is, and from a file."""
    with facts.eagerly():
        model.fit(x, verbose=0)
        model.save(path)
        loaded = autoencoders.load(path)
        assert len(loaded.trainable_variables) == len(model.trainable_variables)
        for one in (model, loaded):
            one.fit(x, epochs=3, initial_epoch=1, verbose=0)
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    return loaded


@pytest.fixture
def path(tmp_path):
    return tmp_path / "tuned.keras"


def test_the_guide_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    guide = (test_docs.ROOT / "docs" / "finetuning.md").read_text(encoding="utf-8")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        names = test_docs.run(guide)
    messages = [str(warning.message) for warning in caught]
    assert any("3 of 14 tensors were not loaded into 'ae_conv'" in text for text in messages)
    assert any("A total of 2 objects could not be loaded" in text for text in messages)
    assert not any(layer.trainable for layer in names["model"].encoder.layers)
    assert names["model"].trained is True
    assert names["colour"].trained is names["wider"].trained is None


# Frozen layers ------------------------------------------------------------------------------------


def _with_normalization():
    encoder, decoder = networks.mlp((6,), 3, (5,))
    normalization = keras.layers.BatchNormalization(center=False, scale=False)
    encoder = keras.Sequential([keras.Input((6,)), normalization, encoder])
    model = autoencoders.Autoencoder(encoder, decoder)
    model.compile("adam")
    model.fit(ROWS, verbose=0)
    return model, normalization


def test_frozen_batch_normalization_keeps_its_statistics_also_in_a_saved_model(path):
    """With `trainable=False` Keras computes with the moving statistics, as in inference."""
    model, normalization = _with_normalization()
    normalization.trainable = False
    model.compile("adam")
    _assert_stays(normalization, lambda: model.fit(ROWS + 5.0, verbose=0))
    loaded = _assert_resumes(model, path, ROWS + 5.0)
    np.testing.assert_array_equal(
        loaded.encoder.layers[0].get_weights(), normalization.get_weights()
    )


def _codebook(trained):
    keras.utils.set_random_seed(0)
    encoder, decoder = networks.mlp((6,), (2, 3), (5,))
    model = autoencoders.Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.VectorQuantizer(8, 3, decay=None if trained else 0.9),
    )
    model.compile("adam")
    return model


@pytest.mark.parametrize("trained", [True, False], ids=["by gradient", "by moving averages"])
def test_a_frozen_codebook_stays(trained, path):
    model = _codebook(trained)
    model.bottleneck.trainable = False
    model.compile("adam")
    _assert_stays(model.bottleneck, lambda: model.fit(ROWS, epochs=2, verbose=0))
    loaded = _assert_resumes(model, path)
    np.testing.assert_array_equal(loaded.bottleneck.codebook, model.bottleneck.codebook)


def _part(model, inner):
    return model.bottleneck._flatten_layers()[-1] if inner else model.bottleneck


@pytest.mark.parametrize("inner", [False, True], ids=["the bottleneck", "a layer within it"])
def test_a_frozen_bottleneck_stays_frozen_in_files(inner, path):
    """Keras's files keep the setting, but not for layers that a layer's constructor makes."""
    model = autoencoders.get("vae_mlp", **SMALL)
    frozen = _part(model, inner)
    frozen.trainable = False
    model.compile("adam")
    before = frozen.get_weights()
    loaded = _assert_resumes(model, path)
    assert loaded.bottleneck.trainable is inner
    for old, new in zip(before, _part(loaded, inner).get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_a_thawed_layer_within_a_frozen_one_is_trained_from_a_file(path):
    model = autoencoders.get("ae_mlp", **SMALL)
    model.encoder.trainable = False
    model.encoder.get_layer("code").trainable = True
    model.compile("adam")
    loaded = _assert_resumes(model, path)
    assert [layer.trainable for layer in loaded.encoder.layers] == [False, False, True]


# `compile` settles it -----------------------------------------------------------------------------

WAYS = {
    "arrays": lambda model: model.fit(ROWS, verbose=0),
    "tf.data": lambda model: model.fit(tf.data.Dataset.from_tensors(ROWS), verbose=0),
    "train_on_batch": lambda model: model.train_on_batch(ROWS),
}


@pytest.mark.parametrize("way", WAYS)
def test_what_is_frozen_after_compile_asks_for_compile(way):
    model = autoencoders.get("ae_mlp", **SMALL)
    train = WAYS[way]
    train(model)
    model.encoder.trainable = False
    before = model.get_weights()
    with pytest.raises(
        ValueError, match=r"changed after `compile`, for 'encoder', .* call it again"
    ):
        train(model)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    model.compile("adam")
    _assert_stays(model.encoder, lambda: train(model))
    model.encoder.trainable = True
    with pytest.raises(ValueError, match="changed after `compile`"):
        train(model)


def test_statistics_that_are_frozen_after_compile_ask_for_it():
    """Neither has a weight that is trained: what changes is the layer's setting alone."""
    model, normalization = _with_normalization()
    normalization.trainable = False
    with pytest.raises(ValueError, match=r"`trainable` was changed after .*'batch_normalization"):
        model.fit(ROWS, verbose=0)
    model = _codebook(trained=False)
    model.bottleneck.trainable = False
    with pytest.raises(ValueError, match="`trainable` was changed after"):
        model.fit(ROWS, verbose=0)


def test_what_a_callback_freezes_is_said_not_to_act():
    model = autoencoders.get("ae_mlp", **SMALL)

    class Freeze(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.encoder.trainable = False

    with pytest.warns(UserWarning, match="changed during `fit`, for 'encoder'.*did not act"):
        model.fit(ROWS, epochs=2, verbose=0, callbacks=[Freeze()])


def test_a_model_that_is_frozen_as_a_whole_says_so():
    model = autoencoders.get("ae_mlp", **SMALL)
    model.trainable = False
    model.compile("adam")
    with pytest.warns(UserWarning, match="All weights of 'ae_mlp' are frozen: `fit` has trained"):
        _assert_stays(model, lambda: model.fit(ROWS, verbose=0))


def test_pretraining_leaves_frozen_layers_alone():
    model = autoencoders.get("stacked_mlp", **SMALL)
    layer = model.encoder.get_layer("hidden_1")
    layer.trainable = False
    _assert_stays(layer, lambda: model.pretrain(ROWS, epochs=1, verbose=0))
    machines = autoencoders.get("stacked_rbm_mlp", **SMALL)
    machines.encoder.trainable = False
    with pytest.raises(ValueError, match="Layer 'hidden_1' is frozen, but a Boltzmann machine"):
        machines.pretrain(ROWS, epochs=1, verbose=0)


# Other sizes --------------------------------------------------------------------------------------


def test_grey_to_colour_says_what_was_taken_and_trains_on_from_a_file(path, digits):
    with pytest.warns(UserWarning, match="3 of 8 tensors were not loaded.*hidden_1/kernel"):
        model = autoencoders.get("ae_mlp", weights="digits", input_shape=(8, 8, 3))
    trained = autoencoders.get("ae_mlp", weights="digits")
    np.testing.assert_array_equal(
        model.encoder.get_layer("code").kernel, trained.encoder.get_layer("code").kernel
    )
    _assert_resumes(model, path, np.repeat(digits[0][:64], 3, axis=-1))


@pytest.mark.filterwarnings("ignore:Skipping nested container")
@pytest.mark.filterwarnings("ignore:Skipping variable loading for optimizer")
def test_another_latent_size_takes_the_layers_that_fit(tmp_path, path, digits):
    trained = autoencoders.get("ae_mlp", weights="digits")
    trained.save_weights(tmp_path / "trained.weights.h5")
    arguments = autoencoders.info("ae_mlp")["weights"]["digits"]["arguments"]
    with pytest.raises(ValueError, match=r"code/kernel .*\(256, 24\).*skip_mismatch=True"):
        autoencoders.get("ae_mlp", weights="digits", latent_dim=24)
    model = autoencoders.get("ae_mlp", **{**arguments, "latent_dim": 24})
    with pytest.warns(UserWarning, match="A total of 2 objects could not be loaded") as caught:
        model.load_weights(tmp_path / "trained.weights.h5", skip_mismatch=True)
    (left_out,) = [str(w.message) for w in caught if "could not be loaded" in str(w.message)]
    assert left_out.splitlines()[-1] == "[<Dense name=hidden_1, built=True>, " + (
        "<Dense name=code, built=True>]"
    )
    fits = [
        np.array_equal(a, b)
        for a, b in zip(model.get_weights(), trained.get_weights(), strict=True)
    ]
    assert fits == [True, True, False, False, False, False, True, True]
    model.encoder.get_layer("hidden_1").trainable = False
    model.compile("adam")
    _assert_resumes(model, path, digits[0][:64])


# The benchmark ------------------------------------------------------------------------------------


def test_the_benchmark_chooses_rates_by_validation_and_goes_on_where_it_was(
    tmp_path, monkeypatch, capsys
):
    fits = []

    def fit(way, name, data, rows, rate, seed):
        fits.append((way, rows, rate, seed))
        validation = abs(rate - (0.001 if way is finetuning.scratch else 0.0003))
        test = 4.0 + seed if way is finetuning.scratch else 2.0
        return {"validation": validation, "test": test, "best": 10, "epochs": 16, "seconds": 1.0}

    case = finetuning.Case(
        "bundled weights", "ae_mlp", "none", finetuning.scratch, finetuning.pretrained, (50, 200)
    )
    monkeypatch.setattr(finetuning, "fit", fit)
    monkeypatch.setattr(finetuning, "CASES", (case,))
    monkeypatch.setitem(finetuning.TARGETS, "none", lambda: None)
    path = tmp_path / "results.jsonl"
    finetuning.Measurements(path).add(case)
    assert len(fits) == 2 * 2 * (3 + 2)
    assert [fit for fit in fits if fit[3]] == [
        (way, rows, rate, seed)
        for way, rate in ((finetuning.scratch, 0.001), (finetuning.pretrained, 0.0003))
        for rows in (50, 200)
        for seed in (1, 2)
    ]
    lines = path.read_text().splitlines()
    path.write_text("\n".join(lines[:-1]) + "\n")
    measurements = finetuning.Measurements(path)
    finetuning.print_table(measurements)
    assert capsys.readouterr().out.count("ae_mlp") == 1
    measurements.add(case)
    assert len(fits) == 21
    assert path.read_text().splitlines() == lines
    finetuning.print_table(finetuning.Measurements(path))
    row = capsys.readouterr().out.splitlines()[-1]
    assert "5.00 ± 1.00 |" in row
    assert "2.00 ± 0.00 |" in row
    assert "0.001, 0.0003" in row
