"""Jobs of `benchmarks.anomaly`: rows to fit on and rows to score, from file to file."""

import time
from pathlib import Path

import numpy as np


def runner(folder, make, score, flag=None):
    """A function that does the job in `folder`.

    Args:
        folder: Holds `job.npz`, of arrays `train`, `test` and `seed`; `found.npz` is written to it.
        make: From the seed and a row's shape to a detector with `fit`.
        score: From the fitted detector and rows to their scores, high for anomalies.
        flag: From the fitted detector and such scores to its decisions, if it is one that decides.
    """

    def run():
        with np.load(Path(folder) / "job.npz") as job:
            train, test, seed = job["train"], job["test"], int(job["seed"])
        start = time.perf_counter()
        detector = make(seed, train.shape[1:])
        detector.fit(train)
        fitted = time.perf_counter()
        scores = score(detector, test)
        seconds = (fitted - start, time.perf_counter() - fitted)
        found = {"flagged": flag(detector, scores)} if flag else {}
        np.savez(Path(folder) / "found.npz", scores=scores, seconds=seconds, **found)

    return run
