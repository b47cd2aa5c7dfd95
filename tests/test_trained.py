"""Whether a model knows that it was trained, however it was."""

import copy

import keras
import numpy as np
import pytest
import tensorflow as tf

import autoencoders
from tests.kept import facts

pytestmark = pytest.mark.filterwarnings("ignore:Posterior collapse")

ROWS = np.random.default_rng(0).random((32, 6), "float32")


def _model(compiled=True):
    keras.utils.set_random_seed(0)
    model = autoencoders.get("ae_mlp", input_shape=(6,), latent_dim=2, hidden_units=(3,))
    if not compiled:
        model = type(model).from_config(model.get_config())
        model.build((None, 6))
    return model


class _Batches(keras.utils.PyDataset):
    def __len__(self):
        return 2

    def __getitem__(self, place):
        return ROWS[16 * place :][:16]


def _generator():
    yield from ((ROWS[:16],), (ROWS[16:],))


def _by_train_on_batch(model):
    model.train_on_batch(ROWS)


def _compiled_again(model):
    model.train_on_batch(ROWS)
    model.compile("sgd")


def _within_another(model):
    inputs = keras.Input((6,))
    whole = keras.Model(inputs, keras.layers.Dense(1)(model(inputs)))
    whole.compile("sgd", "mse", run_eagerly=True)
    whole.fit(ROWS, np.ones(32), verbose=0)


def _in_a_loop_of_ones_own(model):
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(model(ROWS, training=True) - ROWS))
    variables = [variable.value for variable in model.trainable_variables]
    keras.optimizers.SGD().apply(tape.gradient(loss, variables), model.trainable_variables)


WAYS = {
    "arrays": lambda model: model.fit(ROWS, verbose=0),
    "tf.data": lambda model: model.fit(tf.data.Dataset.from_tensors(ROWS), verbose=0),
    "PyDataset": lambda model: model.fit(_Batches(), verbose=0),
    "generator": lambda model: model.fit(_generator(), steps_per_epoch=2, verbose=0),
    "train_on_batch": _by_train_on_batch,
    "compiled again": _compiled_again,
    "a larger model": _within_another,
    "a loop of one's own": _in_a_loop_of_ones_own,
}


@pytest.mark.parametrize("way", WAYS)
def test_trained_is_trained(way, tmp_path):
    model = _model()
    assert model.trained is False
    with facts.eagerly():
        WAYS[way](model)
    assert model.trained is True
    model.save(tmp_path / "model.keras")
    assert autoencoders.load(tmp_path / "model.keras").trained is True
    assert copy.deepcopy(model).trained is True
    assert keras.models.clone_model(model).trained is False


def test_a_file_of_weights_says_it_of_a_compiled_model(tmp_path):
    model, other, uncompiled = _model(), _model(), _model(compiled=False)
    with facts.eagerly():
        model.fit(ROWS, verbose=0)
    model.save_weights(tmp_path / "model.weights.h5")
    other.load_weights(tmp_path / "model.weights.h5")
    assert other.trained is True
    uncompiled.set_weights(model.get_weights())
    uncompiled.save_weights(tmp_path / "uncompiled.weights.h5")
    other = _model(compiled=False)
    other.load_weights(tmp_path / "uncompiled.weights.h5")
    assert other.trained is None


def test_pipelines_count_epochs():
    model = _model()
    with facts.eagerly():
        model.fit(tf.data.Dataset.from_tensors(ROWS), epochs=3, verbose=0)
    assert model.epochs_trained == 3


def test_what_does_not_train_does_not_count():
    model = _model()
    model.evaluate(ROWS, verbose=0)
    model.predict(ROWS, verbose=0)
    model(ROWS, training=True)
    model.trainable = False
    with facts.eagerly():
        _within_another(model)
    assert model.trained is False


@pytest.mark.parametrize("compiled", [True, False], ids=["compiled", "not compiled"])
def test_weights_that_were_set_by_hand_are_unknown_in_files_too(compiled, tmp_path):
    model, other = _model(compiled), _model()
    with facts.eagerly():
        other.fit(ROWS, verbose=0)
    model.save(tmp_path / "untrained.keras")
    assert autoencoders.load(tmp_path / "untrained.keras").trained is False
    model.set_weights(other.get_weights())
    assert model.trained is None
    model.save(tmp_path / "model.keras")
    loaded = autoencoders.load(tmp_path / "model.keras")
    assert loaded.trained is None
    assert copy.deepcopy(model).trained is None
    model.note_pretrained()
    assert model.trained is True


def test_a_file_that_does_not_say_leaves_it_open():
    """Bundled files hold weights alone; `get` knows that they are trained."""
    arguments = {"input_shape": (8, 8, 1)}
    path = autoencoders.list_weights("ae_linear")
    assert "digits" in path
    pretrained = autoencoders.get("ae_linear", weights="digits")
    assert pretrained.trained is True
    fresh = autoencoders.get("ae_linear", **arguments)
    fresh.set_weights(pretrained.get_weights())
    assert fresh.trained is None


@pytest.mark.parametrize("epochs", [0, 1])
def test_a_detector_asks_what_to_do_with_weights_that_nobody_knows_of(epochs):
    model, other = _model(), _model()
    with facts.eagerly():
        other.fit(ROWS, verbose=0)
        model.set_weights(other.get_weights())
        with pytest.raises(ValueError, match=r"Whether 'ae_mlp' is trained .* Pass `epochs=0`"):
            autoencoders.AnomalyDetector(model).fit(ROWS)
        detector = autoencoders.AnomalyDetector(
            model, epochs=epochs, contamination=0.1, random_state=0
        ).fit(ROWS)
    same = [
        np.array_equal(a, b)
        for a, b in zip(model.get_weights(), detector.model_.get_weights(), strict=True)
    ]
    assert all(same) == (epochs == 0)


def test_a_model_that_a_pipeline_trained_is_trained_no_more():
    model = _model()
    with facts.eagerly():
        model.fit(tf.data.Dataset.from_tensors(ROWS), verbose=0)
        with pytest.warns(UserWarning, match="was trained before"):
            detector = autoencoders.AnomalyDetector(model, fpr=0.2, random_state=0).fit(ROWS)
    for a, b in zip(model.get_weights(), detector.model_.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


# Keras names each layer that it leaves out.
@pytest.mark.filterwarnings("ignore:Skipping", "ignore:The random state was not loaded")
def test_weights_that_were_loaded_in_part_or_not_at_all(tmp_path):
    trained = _model()
    trained.fit(ROWS, epochs=2, verbose=0)
    path = tmp_path / "m.weights.h5"
    trained.save_weights(path)
    other = autoencoders.get("ae_mlp", input_shape=(6,), latent_dim=3, hidden_units=(3,))
    before = other.get_weights()
    with pytest.raises(ValueError, match="could not be loaded"):
        other.load_weights(path)
    for ours, theirs in zip(before, other.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert (other.trained, other.epochs_trained) == (False, 0)
    with pytest.warns(UserWarning, match="could not be loaded"):
        other.load_weights(path, skip_mismatch=True)
    assert (other.trained, other.epochs_trained) == (None, 0)
    with pytest.warns(UserWarning, match="tensors were not loaded"):
        grown = autoencoders.get("vae_mlp", weights="digits", input_shape=(10, 10, 1))
    assert grown.trained is None
