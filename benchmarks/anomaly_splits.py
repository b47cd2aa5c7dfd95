"""What `benchmarks.anomaly` fits on and scores: the same seeded splits for every method."""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from autoencoders import datasets


class Split(NamedTuple):
    """Normal rows to fit on; rows to score, and which of them are anomalies (1)."""

    train: np.ndarray
    test: np.ndarray
    y: np.ndarray


def tables(folder):
    """Paths of the data sets in a folder by name, the smallest file first."""
    paths = sorted(Path(folder).glob("*.npz"), key=lambda path: path.stat().st_size)
    if not paths:
        raise SystemExit(f"No .npz files in {folder}.")
    return {path.stem: path for path in paths}


def table(path, seed, **limits):
    """A random half of the normal rows to fit on; the other half and the anomalies to score.

    Columns are z-scored by the rows to fit on; those that are constant there keep their scale.
    """
    with np.load(path, allow_pickle=False) as file:
        x, y = file["X"].astype("float64"), file["y"].astype(int)
    return _z_scored(_cut(_one_class(x, y, 0.5, seed), seed, **limits))


def digit(number, seed, **limits):
    """A digit's training images of MNIST to fit on; all test images to score, others anomalies."""
    (x, labels), (test, test_labels) = datasets.mnist()
    y = (test_labels != number).astype(int)
    return _cut(Split(x[labels == number], test, y), seed, **limits)


def heartbeats(flat, seed, **limits):
    """80 % of the normal heartbeats of ECG5000 to fit on; the others and the anomalies to score."""
    (x, y), (more_x, more_y) = datasets.ecg5000()
    x, y = np.concatenate([x, more_x]), np.concatenate([y, more_y])
    return _cut(_one_class(x[..., 0] if flat else x, y, 0.8, seed), seed, **limits)


def _one_class(x, y, share, seed):
    """A random share of the normal rows to fit on; all the others to score."""
    normal = np.random.default_rng(seed).permutation(np.flatnonzero(y == 0))
    count = round(share * len(normal))
    others = np.concatenate([normal[count:], np.flatnonzero(y == 1)])
    return Split(x[normal[:count]], x[others], y[others])


def _cut(split, seed, max_train, max_test):
    """At most so many rows of each part; those to score keep their share of anomalies."""
    rng = np.random.default_rng([seed, 1])
    train, test, y = split
    if max_train and len(train) > max_train:
        train = train[rng.choice(len(train), max_train, replace=False)]
    if max_test and len(test) > max_test:
        anomalies, normal = np.flatnonzero(y == 1), np.flatnonzero(y == 0)
        count = max(1, round(max_test * len(anomalies) / len(test)))
        chosen = [rng.permutation(anomalies)[:count], rng.permutation(normal)[: max_test - count]]
        chosen = np.concatenate(chosen)
        test, y = test[chosen], y[chosen]
    return Split(train, test, y)


def _z_scored(split):
    """Both parts by the mean and standard deviation of the rows to fit on."""
    mean, scale = split.train.mean(axis=0), split.train.std(axis=0)
    # A constant column's standard deviation need not be exactly 0.
    scale = np.where(scale > 1e-12 * np.maximum(1.0, np.abs(mean)), scale, 1.0)
    train, test = (((part - mean) / scale).astype("float32") for part in split[:2])
    return Split(train, test, split.y)
