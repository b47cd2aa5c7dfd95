"""PyOD's networks on the job in a folder, or timed."""

import numpy as np
import torch
from pyod.models.auto_encoder import AutoEncoder
from pyod.models.vae import VAE

from benchmarks.peers import anomaly_jobs

_MODELS = {"AutoEncoder": AutoEncoder, "VAE": VAE}


def detector(folder, model):
    """One of PyOD's models with PyOD's defaults, on the one thread that such small layers want."""
    torch.set_num_threads(1)

    def make(seed, row_shape):
        return _MODELS[model](random_state=seed, verbose=0)

    return anomaly_jobs.runner(folder, make, lambda own, x: own.decision_function(x))


def fit(data, threads=None, **options):
    """The whole of `fit` with a new model; like every detector of PyOD it scores its rows, too."""
    torch.set_num_threads(threads or torch.get_num_threads())
    x = np.load(data)
    return lambda: AutoEncoder(**options, verbose=0).fit(x)


def score(data, threads=None, scoring_rows=None, **options):
    """`decision_function` of a model that one epoch trained, in its batches or others."""
    torch.set_num_threads(threads or torch.get_num_threads())
    x = np.load(data)
    own = AutoEncoder(**{**options, "epoch_num": 1}, verbose=0).fit(x)
    return lambda: own.decision_function(x, batch_size=scoring_rows)
