"""Models learn what their theory says, on the digits, in seconds."""

import keras
import numpy as np
import pytest
import scipy.ndimage

import autoencoders
from autoencoders import datasets, metrics


def test_a_linear_autoencoder_finds_the_principal_subspace(digits):
    """Baldi & Hornik (1989): the optimum spans the leading principal components."""
    x, _ = digits
    model = autoencoders.get("ae_linear", input_shape=(8, 8, 1), latent_dim=3)
    decay = keras.optimizers.schedules.CosineDecay(0.02, 1500)
    model.compile(keras.optimizers.Adam(decay), steps_per_execution=50)
    model.fit(x, batch_size=len(x), steps_per_epoch=1500, verbose=0)
    assert metrics.squared_error(model, x) == pytest.approx(
        metrics.pca_squared_error(x, x, 3), rel=0.002
    )
    # The decoder's columns span the same plane: all principal angles are small.
    flat = x.reshape(len(x), -1)
    principal = np.linalg.svd(flat - flat.mean(axis=0), full_matrices=False)[2][:3]
    columns = np.linalg.qr(model.decoder.layers[1].get_weights()[0].T)[0]
    cosines = np.linalg.svd(principal @ columns, compute_uv=False)
    assert cosines.min() > 0.999


def test_the_discriminator_makes_the_codes_normal(digits):
    """Makhzani et al. (2015): codes follow the prior, which they do not without the adversary."""
    x = digits[0][:1400]  # whole batches: the rest would take a program of its own
    spread = {}
    for name in ("ae_mlp", "aae_mlp"):
        keras.utils.set_random_seed(0)
        options = {"discriminator_units": (64,)} if name == "aae_mlp" else {}
        model = autoencoders.get(
            name, input_shape=(8, 8, 1), latent_dim=2, hidden_units=(64,), **options
        )
        model.compile(keras.optimizers.Adam(1e-3))
        logs = model.fit(x, batch_size=50, epochs=60, verbose=0).history
        codes = model.encode(digits[0])
        spread[name] = np.abs(np.concatenate([codes.mean(axis=0), codes.std(axis=0) - 1])).max()
    assert spread["aae_mlp"] < 0.3 < spread["ae_mlp"]
    # At the optimum the discriminator is left guessing: log 2, whatever it is shown.
    assert logs["discriminator_loss"][-1] == pytest.approx(np.log(2), abs=0.05)


def test_denoising_beats_a_plain_autoencoder_on_noisy_input(digits):
    """Vincent et al. (2010): trained to denoise, it reconstructs the clean from the noisy."""
    x, test = digits
    noisy = test + np.random.default_rng(0).normal(scale=0.3, size=test.shape).astype("float32")
    error = {}
    for name in ("ae_mlp", "denoising_mlp"):
        keras.utils.set_random_seed(0)
        model = autoencoders.get(name, input_shape=(8, 8, 1), latent_dim=32)
        model.fit(x[:1400], batch_size=50, epochs=30, verbose=0)
        error[name] = np.square(model.predict(noisy, batch_size=60, verbose=0) - test).mean()
    assert error["denoising_mlp"] < 0.7 * error["ae_mlp"]


def test_every_unit_of_a_k_sparse_autoencoder_fires():
    """Gao et al. (2024): few units die if the decoder begins as the encoder's transpose."""
    (x, _), _ = datasets.digits()
    x = x - x.mean(axis=0)
    silent = {}
    for start in ("tied", "transposed", "drawn"):
        keras.utils.set_random_seed(0)
        model = autoencoders.get(
            "k_sparse_mlp",
            input_shape=(8, 8, 1),
            latent_dim=128,
            k=10,
            tied_weights=start == "tied",
        )
        if start != "tied":
            kernel = model.decoder.get_layer("output").kernel
            np.testing.assert_array_equal(kernel.numpy().T, model.encoder.get_layer("code").kernel)
        if start == "drawn":
            kernel.assign(keras.initializers.GlorotUniform(seed=0)(kernel.shape))
        model.fit(x, batch_size=32, epochs=20, verbose=0)
        silent[start] = (model.encode(x) == 0).all(axis=0).sum()
    assert silent["tied"] == silent["transposed"] == 0 < silent["drawn"]


def test_a_tied_encoder_cannot_shrink_from_the_contractive_penalty(digits):
    """Rifai et al. (2011): codes contract by saturating. Untied, a small encoder with a large
    decoder reconstructs the same, and is contractive by its scale alone.
    """
    x, test = digits
    kernels, saturated = {}, {}
    for tied in (True, False):
        keras.utils.set_random_seed(0)
        model = autoencoders.get(
            "contractive_mlp", input_shape=(8, 8, 1), latent_dim=64, weight=0.01, tied_weights=tied
        )
        model.compile(keras.optimizers.Adam(3e-3))
        model.fit(x[:1400], batch_size=50, epochs=40, verbose=0)
        encoder = model.encoder.get_layer("code").kernel
        decoder = encoder if tied else model.decoder.get_layer("output").kernel
        kernels[tied] = [np.linalg.norm(kernel) for kernel in (encoder, decoder)]
        saturated[tied] = np.mean(np.abs(model.encode(test) - 0.5) > 0.45)
    assert kernels[False][1] > 3 * kernels[False][0]
    assert kernels[True][0] > 2 * kernels[False][0]
    assert saturated[True] > 0.05 > 10 * saturated[False]


@pytest.mark.parametrize("name", ["ae_mlp", "denoising_mlp", "vae_mlp"])
def test_fine_tuning_takes_half_the_epochs(name, digits):
    """From MNIST's weights to the digits, resized to 28×28 as MNIST's are: 20 pixels in a margin.
    The loss on held-out rows that 20 epochs from scratch reach is reached in 10.
    """
    large = np.stack([scipy.ndimage.zoom(row[..., 0], 2.5, order=1) for row in digits[0]])
    large = np.pad(large, ((0, 0), (4, 4), (4, 4)))[..., None].clip(0, 1).astype("float32")
    batch_size = autoencoders.info(name)["recipe"]["batch_size"]
    # Whole batches: a rest would take programs of its own.
    x, held_out = (rows[: len(rows) // batch_size * batch_size] for rows in np.split(large, [1152]))

    def history(weights, epochs):
        keras.utils.set_random_seed(0)
        model = autoencoders.get(name, weights=weights)
        data = {"validation_data": (held_out, held_out), "batch_size": batch_size}
        logs = model.fit(x, **data, epochs=epochs, verbose=0).history
        return np.array(logs["val_loss"])

    goal = history(None, 20)[-1]
    reached = history("mnist", 10) <= goal
    print(name, goal, "reached after epoch", 1 + reached.argmax())
    assert reached.any()
