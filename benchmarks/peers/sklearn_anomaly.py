"""Classical methods from scikit-learn on the job in a folder."""

import numpy as np
from sklearn.decomposition import PCA
from sklearn.ensemble import IsolationForest
from sklearn.neighbors import NearestNeighbors

from benchmarks.peers import anomaly_jobs


def pca(folder):
    """Squared error of the reconstruction from the components that keep 95 % of the variance."""

    def score(own, x):
        return np.square(x - own.inverse_transform(own.transform(x))).sum(axis=1)

    return _runner(folder, lambda seed: PCA(n_components=0.95, svd_solver="full"), score)


def neighbours(folder):
    """Distance to the fifth neighbour."""

    def score(own, x):
        return own.kneighbors(x)[0][:, -1]

    return _runner(folder, lambda seed: NearestNeighbors(n_neighbors=5, n_jobs=-1), score)


def forest(folder):
    """Isolation forest, as it comes."""

    def make(seed):
        return IsolationForest(random_state=seed, n_jobs=-1)

    return _runner(folder, make, lambda own, x: -own.score_samples(x))


def _runner(folder, make, score):
    """Rows of any shape are flattened: these methods know tables alone."""
    return anomaly_jobs.runner(
        folder, lambda seed, _: _Flat(make(seed)), lambda own, x: score(own.inner, _flat(x))
    )


class _Flat:
    def __init__(self, inner):
        self.inner = inner

    def fit(self, x):
        self.inner.fit(_flat(x))


def _flat(x):
    return x.reshape(len(x), -1)
