"""Anomaly detection side by side: the same seeded splits for detectors, baselines and PyOD.

    python -m benchmarks.anomaly path/to/tables
    python -m benchmarks.anomaly path/to/tables --python path/to/another/python
    python -m benchmarks.anomaly path/to/tables --sets 14_glass 42_WBC --seeds 0 --methods ours knn
    python -m benchmarks.anomaly --mnist
    python -m benchmarks.anomaly --ecg

The folder holds tables in ADBench's layout (Han et al. 2022, arXiv:2206.09426): `.npz` files with
the arrays `X` and `y`, 1 for anomalies. MNIST and ECG5000 come from `autoencoders.datasets`.

Every fit is written to `--output` as soon as it is done, and is not done again: a run that was cut
off goes on where it was. Fits that failed are tried again. PyOD is looked for in the interpreters
that `--python` names, where this one lacks it.
"""

import argparse
import json
import sys
import tempfile
import threading
import time
from functools import partial
from pathlib import Path

import numpy as np
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    f1_score,
    precision_score,
    roc_auc_score,
)

from benchmarks import anomaly_splits as splits
from benchmarks.turns import Peer, table

_AE = {"model": "ae_mlp", "score": "reconstruction_error"}
_VAE = {"model": "vae_mlp", "score": "reconstruction_error"}

# What it is, where it is, its arguments.
METHODS = {
    "ours": ("AnomalyDetector(), a part held back as always", "keras_anomaly:detector", {}),
    "ae": ("AnomalyDetector('ae_mlp'), reconstruction error", "keras_anomaly:detector", _AE),
    "vae": (
        "AnomalyDetector('vae_mlp'), Gaussian likelihood, reconstruction error",
        "keras_anomaly:detector",
        _VAE,
    ),
    "vae_elbo": ("the same, score='elbo'", "keras_anomaly:detector", {**_VAE, "score": "elbo"}),
    "pca": (
        "scikit-learn's PCA, reconstruction error, 95 % of the variance kept",
        "sklearn_anomaly:pca",
        {},
    ),
    "knn": (
        "distance to the 5th nearest neighbour (scikit-learn)",
        "sklearn_anomaly:neighbours",
        {},
    ),
    "forest": ("scikit-learn's IsolationForest()", "sklearn_anomaly:forest", {}),
    "pyod_ae": (
        "PyOD's AutoEncoder(), on one thread",
        "pyod_anomaly:detector",
        {"model": "AutoEncoder"},
    ),
    "pyod_vae": ("PyOD's VAE(), on one thread", "pyod_anomaly:detector", {"model": "VAE"}),
    "denoising_conv": (
        "AnomalyDetector('denoising_conv')",
        "keras_anomaly:detector",
        {"model": "denoising_conv"},
    ),
    "ae_conv": (
        "AnomalyDetector('ae_conv'), reconstruction error",
        "keras_anomaly:detector",
        {"model": "ae_conv", "score": "reconstruction_error"},
    ),
}
OF_TABLES = ["ours", "ae", "vae", "vae_elbo", "pca", "knn", "forest", "pyod_ae", "pyod_vae"]
OF_IMAGES = ["ours", "denoising_conv", "ae_conv", "knn"]

# Mean AUROC of one-class MNIST: Ruff et al., "Deep one-class classification" (ICML 2018), table 1.
PUBLISHED = {"Deep SVDD": 94.8, "conv. AE": 89.7}

BASELINE = "knn"
_NOWHERE = "not installed"
_DRAWS = 10_000
# Jobs that a process is given.
_JOBS = 12


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder", nargs="?", help="of tables")
    parser.add_argument("--sets", nargs="*", help="names of tables, in place of all")
    parser.add_argument("--mnist", action="store_true", help="one digit of MNIST against the rest")
    parser.add_argument("--digits", type=int, nargs="*", default=[*range(10)])
    parser.add_argument("--ecg", action="store_true", help="decisions about heartbeats")
    parser.add_argument("--seeds", type=int, nargs="*", help="0 1 2, for MNIST 0, unless given")
    parser.add_argument("--methods", nargs="*", choices=list(METHODS), help="in place of all")
    parser.add_argument("--max-train", type=int, default=20_000, help="rows; 0 for all")
    parser.add_argument("--max-test", type=int, default=50_000, help="rows; 0 for all")
    parser.add_argument("--epochs", type=int, help="of our models, to try this program quickly")
    parser.add_argument("--limit", type=float, default=1800, help="seconds for one fit and score")
    parser.add_argument("--python", nargs="*", default=[], help="interpreters with more peers")
    parser.add_argument("--output", default="anomaly.jsonl", help="file of results")
    arguments = parser.parse_args()
    if not (arguments.folder or arguments.mnist or arguments.ecg):
        parser.error("name a folder of tables, --mnist or --ecg")
    with Measurements(arguments) as measurements:
        if arguments.folder:
            tables(measurements, arguments)
        if arguments.mnist:
            mnist(measurements, arguments)
        if arguments.ecg:
            ecg(measurements, arguments)


class Measurements:
    """Results on file, and the processes of the methods that add to them.

    A method keeps its process from one job to the next, so that imports are not timed. It gets a
    new one after it failed or took too long, and after some jobs: compiled programs stay in memory
    for as long as their process lives.
    """

    def __init__(self, arguments):
        self._path = Path(arguments.output)
        self._settings = {k: getattr(arguments, k) for k in ("max_train", "max_test", "epochs")}
        self._limit = arguments.limit
        self._interpreters = [sys.executable, *arguments.python]
        self._folder = tempfile.TemporaryDirectory()
        self._peers, self._jobs, self._results = {}, {}, {}
        for line in self._path.read_text().splitlines() if self._path.exists() else ():
            result = json.loads(line)
            if all(result[k] == v for k, v in self._settings.items()):
                self._keep(result)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        for peer in self._peers.values():
            peer.stop()
        self._folder.cleanup()

    def get(self, name, seed, method):
        """The result of a fit; None if it has not been done or failed."""
        result = self._results.get((name, seed, method), {"problem": "not done"})
        return None if "problem" in result else result

    def problem(self, name, seed, method):
        """Why there is no result."""
        return self._results.get((name, seed, method), {}).get("problem")

    def add(self, name, seed, methods, make_split):
        """Fit and score the split with each of the methods that has not done so."""
        missing = [method for method in methods if self.get(name, seed, method) is None]
        if not missing:
            return
        limits = {key: self._settings[key] for key in ("max_train", "max_test")}
        split = make_split(seed=seed, **limits)
        np.savez(self._file("job"), train=split.train, test=split.test, seed=seed)
        for method in missing:
            print(f"\r  {name}, seed {seed}: {method:20}", end="", flush=True, file=sys.stderr)
            result = {"set": name, "seed": seed, "method": method, **self._settings}
            result |= {"train": len(split.train), "test": len(split.test)}
            result |= self._measure(method, split.y)
            self._keep(result)
            if result.get("problem", "").startswith(_NOWHERE):
                continue
            with self._path.open("a") as file:
                file.write(json.dumps(result) + "\n")
        print("\r" + " " * 70, end="\r", file=sys.stderr)

    def _keep(self, result):
        self._results[result["set"], result["seed"], result["method"]] = result

    def _file(self, name):
        return Path(self._folder.name) / f"{name}.npz"

    def _measure(self, method, y):
        peer = self._peer(method)
        if peer.problem:
            return {"problem": peer.problem}
        self._file("found").unlink(missing_ok=True)
        timer = threading.Timer(self._limit, peer.stop)
        start = time.monotonic()
        timer.start()
        peer.turn()
        timer.cancel()
        if peer.problem:
            late = time.monotonic() - start > self._limit
            return {"problem": f"took over {self._limit:g} s" if late else peer.problem}
        with np.load(self._file("found")) as found:
            return figures(y, **found)

    def _peer(self, method):
        peer = self._peers.get(method)
        if peer and (peer.problem or "").startswith(_NOWHERE):
            return peer
        if peer is None or peer.problem or self._jobs[method] == _JOBS:
            if peer:
                peer.stop()
            peer = self._peers[method] = self._start(method)
            self._jobs[method] = 0
        self._jobs[method] += 1
        return peer

    def _start(self, method):
        _, place, options = METHODS[method]
        epochs = self._settings["epochs"]
        if epochs and place.startswith("keras"):
            options = {**options, "epochs": epochs}
        return Peer(method, place, {"folder": self._folder.name, **options}, self._interpreters)


def figures(y, scores, seconds, flagged=None):
    """What is noted of scores, high for anomalies, and of decisions."""
    if not np.isfinite(scores).all():
        return {"problem": f"{np.sum(~np.isfinite(scores))} scores are not finite numbers"}
    result = {
        "auroc": 100 * roc_auc_score(y, scores),
        "ap": 100 * average_precision_score(y, scores),
        "fit_seconds": float(seconds[0]),
        "score_seconds": float(seconds[1]),
    }
    if flagged is not None:
        result |= {
            "accuracy": 100 * accuracy_score(y, flagged),
            "f1": 100 * f1_score(y, flagged, zero_division=0),
            "precision": 100 * precision_score(y, flagged, zero_division=0),
            "false_positives": 100 * float(flagged[y == 0].mean()),
            "found": 100 * float(flagged[y == 1].mean()),
        }
    return result


def tables(measurements, arguments):
    paths = splits.tables(arguments.folder)
    unknown = set(arguments.sets or ()) - set(paths)
    if unknown:
        raise SystemExit(f"No such tables: {', '.join(sorted(unknown))}. There are: {[*paths]}")
    names = [name for name in paths if name in (arguments.sets or paths)]
    methods = arguments.methods or OF_TABLES
    seeds = [0, 1, 2] if arguments.seeds is None else arguments.seeds
    for name in names:
        for seed in seeds:
            measurements.add(name, seed, methods, partial(splits.table, paths[name]))
    print(f"\nTables: fitted on half of the normal rows{_limits(arguments)}; seeds {seeds}\n")
    methods = _finished(measurements, names, seeds, methods)
    results = {
        method: {
            name: [measurements.get(name, seed, method) for seed in seeds]
            for name in names
            if all(measurements.get(name, seed, method) for seed in seeds)
        }
        for method in methods
    }
    common = [name for name in names if all(name in results[method] for method in methods)]
    values = {}
    for key, title in (("auroc", "AUROC"), ("ap", "Average precision")):
        values[key] = {
            method: {name: _mean(found, key) for name, found in results[method].items()}
            for method in methods
        }
        print(f"\n{title} x 100\n")
        rows = [[name, *(_cell(values[key][m].get(name)) for m in methods)] for name in names]
        if common:
            means = [_cell(np.mean([values[key][m][name] for name in common])) for m in methods]
            rows.append([f"mean of {len(common)}", *means])
        table(["", *methods], rows)
    if common:
        summary(values, results, methods, common)


def summary(values, results, methods, names):
    print(
        f"\nMeans over the {len(names)} tables that all methods have finished, and differences to"
    )
    print(f"{BASELINE}, table by table, with a 95 % bootstrap interval over tables\n")
    rows = []
    for method in methods:
        row = [method]
        for key in ("auroc", "ap"):
            own = np.array([values[key][method][name] for name in names])
            row.append(f"{own.mean():.2f}")
            row += (
                _compare(own, values[key].get(BASELINE), names) if method != BASELINE else ["", ""]
            )
        for key in ("fit_seconds", "score_seconds"):
            row.append(f"{sum(r[key] for name in names for r in results[method][name]):,.1f}")
        rows.append(row)
    difference = f"less {BASELINE}"
    counts = "wins-losses"
    header = ["", "AUROC", difference, counts, "AP", difference, counts, "fit, s", "score, s"]
    table(header, rows)
    rows = []
    for method in methods:
        found = [_mean(results[method][name], "false_positives") for name in names]
        if None not in found:
            rates = np.mean(found), min(found), max(found)
            rows.append([method, *(f"{rate:.1f}" for rate in rates)])
    if rows:
        print("\nNormal test rows that are flagged at a stated false-positive rate of 5 %\n")
        table(["", "mean, %", "least of a table", "most of a table"], rows)


def _compare(own, baseline, names):
    """The mean difference with its interval, and wins and losses."""
    if baseline is None:
        return ["", ""]
    difference = own - [baseline[name] for name in names]
    rng = np.random.default_rng(0)
    draws = rng.integers(len(names), size=(_DRAWS, len(names)))
    low, high = np.percentile(difference[draws].mean(axis=1), [2.5, 97.5])
    interval = f"{difference.mean():+.2f} ({low:+.2f} to {high:+.2f})"
    return [interval, f"{np.sum(difference > 0)}-{np.sum(difference < 0)}"]


def mnist(measurements, arguments):
    methods = arguments.methods or OF_IMAGES
    seeds = [0] if arguments.seeds is None else arguments.seeds
    names = {number: f"MNIST {number}" for number in arguments.digits}
    for number, name in names.items():
        for seed in seeds:
            measurements.add(name, seed, methods, partial(splits.digit, number))
    print(f"\nOne digit of MNIST against the others: AUROC x 100; seeds {seeds}")
    print(f"Fitted on the digit's training images{_limits(arguments)}\n")
    methods = _finished(measurements, names.values(), seeds, methods)
    columns = []
    for method in methods:
        found = [_result(measurements, name, seeds, method, "auroc") for name in names.values()]
        columns.append([*found, None if None in found else np.mean(found)])
    rows = [
        [number, *(_cell(column[i]) for column in columns), *("" for _ in PUBLISHED)]
        for i, number in enumerate([*names, f"mean of {len(names)}"])
    ]
    rows[-1][-len(PUBLISHED) :] = PUBLISHED.values()
    table(["", *methods, *(f"{name}, published for 10" for name in PUBLISHED)], rows)


# Names of the two forms of the heartbeats, by whether they are flat.
_ECG = {True: "ECG5000 (n, 140)", False: "ECG5000 (n, 140, 1)"}


def ecg(measurements, arguments):
    methods = arguments.methods or ["ours"]
    seeds = [0, 1, 2] if arguments.seeds is None else arguments.seeds
    for flat, name in _ECG.items():
        for seed in seeds:
            measurements.add(name, seed, methods, partial(splits.heartbeats, flat))
    print(
        "\nECG5000: fitted and calibrated, at a false-positive rate of 5 %, on 80 % of the normal"
    )
    print(f"beats{_limits(arguments)}; mean and standard deviation over seeds {seeds}, in %\n")
    keys = {
        "accuracy": "accuracy",
        "F1 of anomalies": "f1",
        "precision": "precision",
        "recall": "found",
        "false positives": "false_positives",
        "AUROC": "auroc",
    }
    rows = []
    for method in _finished(measurements, _ECG.values(), seeds, methods):
        for name in _ECG.values():
            found = [measurements.get(name, seed, method) for seed in seeds]
            row = [f"{method}, {name}"]
            for key in keys.values():
                own = [result[key] for result in found if result and key in result]
                row.append(f"{np.mean(own):.2f} ± {np.std(own):.2f}" if own else "")
            rows.append(row)
    table(["", *keys], rows)


def _limits(arguments):
    """How rows were limited, for the headers."""
    text = ""
    if arguments.max_train:
        text += f", at most {arguments.max_train:,}, the same for all"
    if arguments.max_test:
        text += f"; scored on at most {arguments.max_test:,} (anomalies' share kept)"
    if arguments.epochs:
        text += f"; our models train for {arguments.epochs} epochs only"
    return text


def _finished(measurements, names, seeds, methods):
    """The methods that have any result; says what each is, and what went wrong."""
    kept = []
    for method in methods:
        jobs = [(name, seed, method) for name in names for seed in seeds]
        if any(measurements.get(*job) for job in jobs):
            kept.append(method)
            print(f"- {method}: {METHODS[method][0]}")
        problems = {job: measurements.problem(*job) for job in jobs if measurements.problem(*job)}
        if len(problems) == len(jobs):
            print(f"- {method}: no results; {next(iter(problems.values()))}")
            continue
        for (name, seed, _), problem in problems.items():
            print(f"  - failed on {name}, seed {seed}: {problem}")
    return kept


def _result(measurements, name, seeds, method, key):
    """The mean over seeds; None unless all are there."""
    found = [measurements.get(name, seed, method) for seed in seeds]
    return _mean(found, key) if all(found) else None


def _mean(found, key):
    return np.mean([result[key] for result in found]) if key in found[0] else None


def _cell(value):
    return "" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    main()
