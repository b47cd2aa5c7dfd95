"""Models that are a part of a larger one, which trains them."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import autoencoders
from autoencoders import layers, losses, networks
from tests import dense
from tests.dense import rows
from tests.kept import facts


def _variational(**arguments):
    model = dense.build(bottleneck=layers.GaussianBottleneck(3, **arguments))
    return model


def _within(model, loss="mse"):
    inputs = keras.Input((6,))
    larger = keras.Model(inputs, model(inputs))
    larger.compile("sgd", loss, run_eagerly=True)
    return larger


def _kl(model, x):
    """KL(N(mean, variance) ‖ N(0, 1)) in nats, a mean over rows."""
    mean, log_variance = model.posterior(x)
    kl = 0.5 * (np.exp(log_variance) + np.square(mean) - 1.0 - log_variance)
    return kl.sum(axis=-1).mean()


def test_the_divergence_is_part_of_a_larger_models_loss():
    x = rows()
    model = _variational(beta=2.0)
    expected = 2.0 * _kl(model, x)
    larger = _within(model)
    larger.train_on_batch(x, x)
    (term,) = larger.losses
    assert float(term) == pytest.approx(expected, rel=1e-4)
    # The model is not called in training: neither its files nor its answers have the term.
    assert larger.evaluate(x, x, verbose=0) == pytest.approx(
        np.square(larger.predict(x, verbose=0) - x).mean(), rel=1e-4
    )
    assert larger.losses == []


def test_beside_a_likelihood_it_is_a_share_of_each_element():
    x = rows()
    networks_ = networks.mlp((6,), 3, (8,))
    bottleneck = layers.GaussianBottleneck(3)
    model = autoencoders.Autoencoder(
        *networks_, bottleneck=bottleneck, likelihood=losses.SquaredError()
    )
    model.compile("adam")
    larger = _within(model)
    kl = _kl(model, x)
    loss = larger.train_on_batch(x, x)
    (term,) = larger.losses
    assert float(term) == pytest.approx(kl / 6, rel=1e-4)
    assert loss > float(term)


def test_a_larger_model_learns_by_it():
    """A heavy KL draws the posterior to the prior there, as in training of the model's own."""
    x = rows()
    model = _variational(beta=10.0)
    before = _kl(model, x)
    larger = _within(model)
    larger.optimizer.learning_rate = 0.03
    for _ in range(8):
        larger.train_on_batch(x, x)
    assert _kl(model, x) < 0.5 * before


def test_training_of_ones_own_does_not_count_it_twice():
    x = rows()
    model, other = _variational(beta=2.0), _variational(beta=2.0)
    other.set_weights(model.get_weights())
    _within(model).predict(x, verbose=0)
    model(x, training=True)
    assert len(model.losses) == 1
    for one in (model, other):
        one.bottleneck.seed_generator.state.assign([1, 2])
    with facts.eagerly():
        ours, theirs = (m.train_on_batch(x, return_dict=True) for m in (model, other))
    assert ours == pytest.approx(theirs, rel=1e-6)
    assert set(ours) == {"loss", "reconstruction_loss", "kl_loss", "active_units"}
    assert ours["loss"] == pytest.approx(ours["reconstruction_loss"] + ours["kl_loss"], rel=1e-6)


def test_penalties_count_and_weigh_what_they_weigh():
    x = rows()
    model = dense.build(penalties=[dense.penalty()])
    code = model.encode(x)
    larger = _within(model)
    larger.train_on_batch(x, x)
    (term,) = larger.losses
    assert float(term) == pytest.approx(0.1 * np.abs(code).sum(axis=1).mean(), rel=1e-5)


@pytest.mark.parametrize("trainable", [True, False])
def test_codebooks_and_schedules_move_on_where_they_are_trained(trainable):
    x = rows()
    quantizer = layers.VectorQuantizer(4, 3, revive=None)
    warmed = layers.GaussianBottleneck(3, warm_up=10)
    for bottleneck in (quantizer, warmed):
        model = dense.build(bottleneck=bottleneck)
        model.trainable = trainable
        before = [v.numpy() for v in bottleneck.non_trainable_variables if v.dtype != "uint32"]
        # A layer behind it, so that there is something to train.
        inputs = keras.Input((6,))
        larger = keras.Model(inputs, keras.layers.Dense(6)(model(inputs)))
        larger.compile("sgd", "mse", run_eagerly=True)
        larger.train_on_batch(x, x)
        after = [v.numpy() for v in bottleneck.non_trainable_variables if v.dtype != "uint32"]
        moved = [not np.array_equal(a, b) for a, b in zip(before, after, strict=True)]
        seed = [v.name == "seed_generator_state" for v in bottleneck.non_trainable_variables]
        assert any(m for m, s in zip(moved, seed, strict=True) if not s) == trainable


def test_what_a_larger_model_cannot_train_is_said_once():
    model = autoencoders.get("aae_mlp", input_shape=(6,), hidden_units=(4,), latent_dim=2)
    larger = _within(model)
    x = rows()
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "Gradients do not exist")
        missing = r"'aae_mlp': without \['discriminator_loss', 'generator_loss'\]"
        with pytest.warns(UserWarning, match=missing):
            larger.train_on_batch(x, x)
        larger.train_on_batch(x, x)


def test_models_of_labels_take_both():
    model = autoencoders.get("cvae_mlp", input_shape=(6,), hidden_units=(4,), latent_dim=2)
    with pytest.raises(TypeError, match=r"call it with both, `model\(\(x, labels\)\)`"):
        keras.Sequential([keras.Input((6,)), model])
    with pytest.raises(TypeError, match="needs labels beside the rows"):
        model(rows())


def test_a_layer_over_time_leaves_the_larger_model_its_own_log():
    x = np.stack([rows(), rows()], axis=1)
    model = _variational()
    inputs = keras.Input((2, 6))
    larger = keras.Model(inputs, keras.layers.TimeDistributed(model)(inputs))
    larger.compile("sgd", "mse")
    history = larger.fit(x, x, verbose=0).history
    assert list(history) == ["loss"]
    assert history["loss"][0] > 0
    assert len(larger.losses) == 2
    assert next(iter(model.metrics)).name == "loss"
    assert model.evaluate(rows(), verbose=0)[0] > 0


@pytest.mark.parametrize("eagerly", [True, False])
def test_a_model_of_unknown_shape_is_built_where_it_is_trained(eagerly, tmp_path):
    def layered(*units):
        return keras.Sequential([keras.layers.Dense(count) for count in units])

    parts = {
        "bottleneck": layers.GaussianBottleneck(2),
        "penalties": [layers.ContractivePenalty(0.1)],
    }
    model = autoencoders.Autoencoder(layered(5, 4), layered(6), **parts)
    larger = keras.Sequential([keras.layers.Identity(), model])
    larger.compile("sgd", "mse", run_eagerly=eagerly)
    x = rows()
    larger.fit(x, x, verbose=0)
    assert model.trained is True
    larger.save(tmp_path / "larger.keras")
    loaded = keras.saving.load_model(tmp_path / "larger.keras")
    np.testing.assert_array_equal(loaded(x), larger(x))


def test_what_is_exported_has_no_term(tmp_path):
    model = _variational()
    larger = _within(model)
    x = tf.constant(rows())
    expected = larger(x)
    larger.export(tmp_path / "larger", verbose=False)
    served = tf.saved_model.load(tmp_path / "larger")
    np.testing.assert_allclose(served.serve(x), expected, atol=1e-6)
