"""The published figures, on full MNIST: `make figures`. Test data is used for measuring alone."""

import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import metrics

pytestmark = pytest.mark.figures


@pytest.mark.parametrize(
    ("hidden", "latent", "optimizer", "batch_size", "epochs", "nats"),
    [
        (256, 2, "rmsprop", 100, 10, 157.6),
        (200, 10, "adam", 128, 50, 109.1),
        (400, 20, "adam", 128, 10, 106.3),
    ],
)
def test_negative_elbo(mnist, hidden, latent, optimizer, batch_size, epochs, nats):
    """−ELBO of the test images, z sampled."""
    x_train, x_test = mnist
    model = autoencoders.get("vae_mlp", hidden_units=(hidden,), latent_dim=latent)
    model.compile(keras.optimizers.get(optimizer))
    assert float(model.optimizer.learning_rate) == pytest.approx(1e-3)
    model.fit(x_train, batch_size=batch_size, epochs=epochs, verbose=2)
    logs = model.evaluate(x_test, batch_size=1000, verbose=0, return_dict=True)
    print(f"784-{hidden}-{latent}: {logs}")
    assert logs["loss"] <= nats


def test_linear_autoencoder_against_pca(mnist):
    pca = metrics.pca_squared_error(*mnist, 10)
    assert pca == pytest.approx(26.71, abs=0.01)
    error = metrics.squared_error(_by_recipe("ae_linear", mnist), mnist[1])
    print(f"ae_linear, 10 units: {error:.3f}, PCA {pca:.3f}")
    assert error == pytest.approx(pca, rel=0.005)


@pytest.mark.parametrize("name", autoencoders.list_models())
def test_every_model_beats_the_mean_image(name):
    """From `get` to `fit` in one line each, on the digits, at the card's sizes."""
    (x, y), (x_test, y_test) = autoencoders.datasets.digits()
    mean = np.square(x_test - x.mean(axis=0)).mean()
    if len(autoencoders.info(name)["kwargs"]["input_shape"]) == 2:
        x, x_test = x[..., 0], x_test[..., 0]  # rows as time
    model = autoencoders.get(name, input_shape=x.shape[1:])
    model.fit(x, y if model.labels else None, epochs=20, verbose=0)
    given = (x_test, y_test) if model.needs_labels else x_test
    error = model.reconstruction_error(given).mean()
    print(f"{name}: {error:.4f}, mean image {mean:.4f}")
    assert error < mean


def _by_recipe(name, mnist):
    recipe = autoencoders.info(name)["recipe"]
    keras.utils.set_random_seed(recipe["seed"])
    model = autoencoders.get(name)
    model.fit(mnist[0], batch_size=recipe["batch_size"], epochs=recipe["epochs"], verbose=2)
    return model
