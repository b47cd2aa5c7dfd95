"""Reconstruction errors."""

import math

import keras
import numpy as np

import autoencoders
from autoencoders import losses, metrics
from benchmarks.papers.runs import Result, cosine


def deep_autoencoder(
    run,
    *,
    epochs=60,
    batch_size=100,
    rate=1e-3,
    activation="silu",
    output="sigmoid",
    loss="binary_crossentropy",
    pretraining=3,
    weight_decay=0.0,
    seed=0,
):
    """Hinton & Salakhutdinov, Science 313 (2006): 784-1000-500-250-30 on MNIST.

    Each layer is pre-trained as an autoencoder of its own, then all are fine-tuned together by the
    cross-entropy, as there. The paper has sigmoid layers, Boltzmann machines and conjugate
    gradients.
    """
    data = run.mnist()

    def build():
        model = autoencoders.get("stacked_mlp", activation=activation, output=output)
        optimizer = keras.optimizers.Adam(
            cosine(rate, epochs, data.x, batch_size), weight_decay=weight_decay or None
        )
        model.compile(optimizer, loss=loss)
        return model

    model, seconds, _ = run.train(
        "deep_autoencoder",
        build,
        (data.x,),
        epochs=epochs,
        batch_size=batch_size,
        seed=seed,
        pretraining={"epochs": pretraining, "optimizer": keras.optimizers.Adam(1e-3)},
    )
    error = metrics.squared_error(model, data.x_test)
    own = metrics.squared_error(model, data.x[: len(data.x_test)])
    pca = metrics.pca_squared_error(data.x, data.x_test, 30)
    return [
        Result(
            "deep autoencoder 784-1000-500-250-30",
            "squared error of a test image, MNIST; layers pre-trained, then fine-tuned",
            "3.00 (PCA 13.87)",
            f"{error:.2f} (PCA {pca:.2f})",
            f"{pretraining} a layer + {epochs}",
            seconds,
            f"training rows {own:.2f}",
        )
    ]


def vq_vae(run, *, epochs=30, batch_size=128, rate=2e-3, decay=0.99, commitment=0.25, seed=0):
    """Van den Oord et al. 2017 (arXiv:1711.00937), as in the example on keras.io.

    The example prints the mean of the squared error over epoch 30, while it trains, divided by the
    pixels' variance. The Gaussian likelihood with their deviation is the same error in nats.
    """
    data = run.mnist()
    deviation = float(data.x.std(dtype="float64"))

    def build():
        model = autoencoders.get(
            "vq_vae_conv",
            num_codes=128,
            code_dim=16,
            decay=decay,
            commitment=commitment,
            likelihood=losses.Gaussian(deviation),
        )
        model.compile(keras.optimizers.Adam(cosine(rate, epochs, data.x, batch_size)))
        return model

    model, seconds, logs = run.train(
        "vq_vae", build, (data.x,), epochs=epochs, batch_size=batch_size, seed=seed
    )
    constant = math.log(deviation) + 0.5 * math.log(2 * math.pi)
    running = 2 * (logs[-1]["reconstruction_loss"] / math.prod(data.x.shape[1:]) - constant)
    after, test = (
        float(np.mean(model.reconstruction_error(x), dtype="float64")) / deviation**2
        for x in (data.x, data.x_test)
    )
    return [
        Result(
            "VQ-VAE, K = 128, D = 16, 7×7 codes",
            "squared error over the pixels' variance, mean over the last epoch of training, MNIST",
            "0.0444",
            f"{running:.4f} (test {test:.4f})",
            f"{epochs}",
            seconds,
            f"training rows, when trained: {after:.4f}; perplexity {logs[-1]['perplexity']:.0f}",
        )
    ]
