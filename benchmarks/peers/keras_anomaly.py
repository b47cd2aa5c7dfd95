"""`AnomalyDetector` on the job in a folder, or timed."""

import numpy as np

from autoencoders import AnomalyDetector
from benchmarks.peers import anomaly_jobs


def detector(folder, **options):
    """A new `AnomalyDetector` with these arguments for every job."""

    def make(seed, row_shape):
        model_params = None
        if options.get("model") == "vae_mlp":
            # As wide a code as `ae_mlp` has here: the model's own two units are for pictures.
            units = min(32, (np.prod(row_shape, dtype=int) + 1) // 2)
            model_params = {"likelihood": "gaussian", "latent_dim": int(units)}
        return AnomalyDetector(**options, model_params=model_params, random_state=seed)

    def flag(own, scores):
        return -scores < own.offset_  # as `predict` does, without scoring again

    return anomaly_jobs.runner(folder, make, lambda own, x: -own.score_samples(x), flag)


def fit(data, **options):
    """The whole of `fit` with a new detector, compiling included."""
    x = np.load(data)
    return lambda: AnomalyDetector(**options, random_state=0).fit(x)


def score(data, **options):
    """`score_samples` of a detector that one epoch trained: how long does not matter here."""
    x = np.load(data)
    own = AnomalyDetector(**{**options, "epochs": 1}, random_state=0).fit(x)
    return lambda: own.score_samples(x)
