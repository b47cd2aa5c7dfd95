"""Reconstruction quality, in the unit in which the literature gives it."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

if TYPE_CHECKING:
    from autoencoders.autoencoder import Autoencoder

# Rows from which a quantiser learns its levels.
_QUANTISER_ROWS = 5000


def squared_error(model: Autoencoder, x: ArrayLike) -> float:
    """Mean over rows of the squared error summed over features.

    The figure of Hinton & Salakhutdinov (Science 313, 2006): 3.00 for their deep autoencoder on
    MNIST's test images, 13.87 for PCA with as many components.

    Args:
        model: An `Autoencoder`.
        x: Array `(n, *input_shape)`; with labels `(x, labels)`, for a model that needs them.
    """
    rows = x[0] if isinstance(x, tuple) else x
    features = math.prod(np.shape(rows)[1:])
    return float(model.reconstruction_error(x).mean(dtype="float64")) * features


def pca_squared_error(x_train: np.ndarray, x_test: np.ndarray, n_components: int) -> float:
    """`squared_error` of PCA fitted to `x_train` and measured on `x_test`.

    Args:
        x_train, x_test: Arrays `(n, ...)`.
        n_components: Number of principal components, the peer of `latent_dim`.
    """
    from sklearn.decomposition import PCA

    train, test = (x.reshape(len(x), -1) for x in (x_train, x_test))
    pca = PCA(n_components, svd_solver="covariance_eigh").fit(train)
    error = test - pca.inverse_transform(pca.transform(test))
    return float((error.astype("float64") ** 2).sum(axis=1).mean())


def pca_squared_error_at(bits: float, x_train: np.ndarray, x_test: np.ndarray) -> float:
    """`squared_error` of PCA whose components are quantised, with so many bits for a row.

    The peer of a discrete code. Bit by bit goes where it helps most; a component of b bits has the
    2^b levels that Lloyd's algorithm finds (Lloyd, "Least squares quantization in PCM", 1982).

    Args:
        bits: Bits that a row's code has, rounded down.
        x_train, x_test: Arrays `(n, ...)`.
    """
    from sklearn.cluster import KMeans
    from sklearn.decomposition import PCA

    train, test = (x.reshape(len(x), -1) for x in (x_train, x_test))
    pca = PCA(svd_solver="covariance_eigh").fit(train)
    rows = np.random.default_rng(0).permutation(len(train))[:_QUANTISER_ROWS]
    total = np.square(test - pca.mean_, dtype="float64").sum(axis=1).mean()
    train, test = (pca.transform(x).astype("float64").T for x in (train[rows], test))

    def quantiser(component: int, levels: int) -> tuple[KMeans, float]:
        """The levels of a component, and the mean square that they leave of it."""
        means = KMeans(levels, n_init=1, random_state=0).fit(train[component][:, np.newaxis])
        return means, means.inertia_ / len(rows)

    errors = np.square(train).mean(axis=1)
    spent, chosen, candidates = np.zeros(len(errors), int), {}, {}
    for _ in range(int(bits)):
        # The components lie in order of their variance: the first unused one goes before the rest.
        for component in range(min(np.count_nonzero(spent) + 1, len(errors))):
            fits = 2 ** (spent[component] + 1) <= len(np.unique(train[component]))
            if component not in candidates and fits:
                candidates[component] = quantiser(component, 2 ** (spent[component] + 1))
        if not candidates:
            break  # a level for each row
        best = max(candidates, key=lambda c: errors[c] - candidates[c][1])
        chosen[best], errors[best] = candidates.pop(best)
        spent[best] += 1
    squares = np.square(test).mean(axis=1)
    outside = total - squares.sum()  # what lies outside the span of the components
    for component, means in chosen.items():
        codes = test[component][:, np.newaxis]
        squares[component] = np.square(codes - means.cluster_centers_[means.predict(codes)]).mean()
    return float(squares.sum() + outside)
