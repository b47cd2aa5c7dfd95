"""Disentangled codes."""

import keras
import numpy as np

import autoencoders
from autoencoders import datasets, metrics
from benchmarks.papers.runs import Result, spread

_PUBLISHED = {
    "VAE": "FactorVAE score 0.63, MIG 0.10",
    "FactorVAE": "FactorVAE score 0.82",
    "β-TCVAE": "MIG 0.43 to 0.45",
}


def sprites(
    run,
    *,
    epochs=100,
    images=10_000,
    batch_size=64,
    rate=5e-4,
    gamma=35.0,
    beta=6.0,
    hidden_units=(256, 256),
    discriminator_units=(256,) * 4,
    seeds=1,
    scores=None,
):
    """Kim & Mnih 2018 (arXiv:1802.05983), Chen et al. 2018 (arXiv:1802.04942): sprites.

    What counts is the order of the three models, which train equally long: `epochs` of `images`
    that are drawn anew each time, 15,600 steps of 64, where the first paper has 300,000 steps of 64
    and the code of the second's authors 50 epochs in batches of 2,048, which is 18,000 steps. The
    images are drawn after dSprites, which they are not. The networks are dense, with 256 units
    where the second paper has 1,200 and the first, whose FactorVAE scores are the published ones,
    convolutional layers; the discriminator has four layers of 256 for the first paper's six of
    1,000.
    """
    data = datasets.sprites()
    models = {
        "VAE": ("vae_mlp", {}),
        "FactorVAE": (
            "factor_vae_mlp",
            {"gamma": gamma, "discriminator_units": discriminator_units},
        ),
        "β-TCVAE": (
            "beta_tcvae_mlp",
            {"total_correlation": beta, "dataset_size": len(data)},
        ),
    }
    results = []
    for title, (name, options) in models.items():

        def build(name=name, options=options):
            size = {"input_shape": (64, 64, 1), "latent_dim": 10, "hidden_units": hidden_units}
            model = autoencoders.get(name, **size, **options)
            slower = keras.optimizers.Adam(1e-4, beta_1=0.5, beta_2=0.9)
            others = {"discriminator": slower} if title == "FactorVAE" else {}  # noqa: B023
            model.compile(keras.optimizers.Adam(rate), phase_optimizers=others)
            return model

        found, seconds = [], []
        for seed in range(seeds):

            def rows(epoch, seed=seed):
                rng = np.random.default_rng([seed, epoch])
                return (data[rng.integers(len(data), size=images)],)

            model, time, _ = run.train(
                f"sprites_{name}_{seed}",
                build,
                rows,
                epochs=epochs,
                batch_size=batch_size,
                seed=seed,
            )
            found.append(metrics.disentanglement_scores(model, data, **(scores or {})))
            seconds.append(time)
        means = {key: spread([each[key] for each in found]) for key in found[0]}
        results.append(
            Result(
                f"{title} on sprites",
                f"scores of the codes; {epochs} × {images:,} images in batches of {batch_size}",
                _PUBLISHED[title],
                f"FactorVAE score {means['factor_vae']}, MIG {means['mig']}",
                f"{epochs}",
                float(np.mean(seconds)),
                ", ".join(f"{key} {value}" for key, value in means.items()),
            )
        )
    return results
