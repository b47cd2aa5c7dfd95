"""Uses of the package, right and wrong: a type checker reports the lines that say so, no others.

Nobody runs this file.
"""

from pathlib import Path

import numpy as np

import autoencoders

x = np.zeros((4, 8), "float32")

model = autoencoders.get("ae_mlp", input_shape=(8,), latent_dim=2)
autoencoders.get("ae_mlp", "mnist", compile=False)
autoencoders.get("ae_mlp", weights=Path("own.weights.h5"))
autoencoders.get()  # misuse
autoencoders.get(8)  # misuse
autoencoders.get("ae_mlp", "mnist", False)  # misuse
autoencoders.get("ae_mlp", weights=8)  # misuse
autoencoders.get("ae_mlp", compile="no")  # misuse
autoencoders.gte("ae_mlp")  # misuse

names: list[str] = autoencoders.list_models(family="variational", pretrained=True)
tags: list[str] = autoencoders.list_weights("ae_mlp")
title = autoencoders.info("ae_mlp")["paper"]["title"]
figure: float = autoencoders.info("ae_mlp")["weights"]["mnist"]["figures"]["loss"]
autoencoders.list_models(familly="variational")  # misuse
all_tags: list[str] = autoencoders.list_weights()  # misuse
autoencoders.info("ae_mlp")["papers"]  # misuse
autoencoders.load()  # misuse


@autoencoders.register(family="custom", recipe={"optimizer": {"name": "adam"}})
def own(input_shape: tuple[int, ...] = (8,), latent_dim: int = 2) -> autoencoders.Autoencoder:
    """A builder, which stays a function of its arguments."""
    return autoencoders.get("ae_mlp", input_shape=input_shape, latent_dim=latent_dim)


own((4,), latent_dim=1)
own(latent=1)  # misuse

detector = autoencoders.AnomalyDetector("ae_mlp", epochs=2)
autoencoders.AnomalyDetector(model)
autoencoders.AnomalyDetector(modle="ae_mlp")  # misuse
autoencoders.AnomalyDetector("ae_mlp", 2)  # misuse
detector.calibrate(x, fprs=0.1)  # misuse
autoencoders.SeriesAnomalyDetector(window=4)
autoencoders.SeriesAnomalyDetector(widnow=4)  # misuse

train, test = autoencoders.datasets.sprites().split(test=0.2)
autoencoders.metrics.mig(x, x.astype("int64")) + 1.0
autoencoders.metrics.log_likelihood(model, x, 100).mean + 1.0
autoencoders.metrics.mgi(x, x)  # misuse
autoencoders.metrics.log_likelihood(model, x, samples=100)  # misuse
autoencoders.losses.get("gaussian")
autoencoders.losses.get(8)  # misuse
autoencoders.plots.samples(model, columns=3).savefig("samples.png")
autoencoders.plots.samples(model, colums=3)  # misuse
