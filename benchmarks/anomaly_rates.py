"""Whether detectors keep the rates they state, over many synthetic data sets.

    python -m benchmarks.anomaly_rates
    python -m benchmarks.anomaly_rates --sets 10

Every data set is a random mixture of its own: Gaussian, heavy-tailed, or rounded, so that rows and
scores tie. A small detector with `contamination="auto"` is fitted on normal rows. On fresh ones the
false-positive rate is measured, of decisions and p-values from `fit`, and after `calibrate` with
rows of its own. Batches with a tenth of anomalies tell the false-discovery proportion of
`predict(X, fdr=...)`. The rates hold for all the randomness together, calibration rows included:
means over data sets are to be at most what is stated, but for the standard error. Two hundred take
some seven minutes on two cores.
"""

import argparse
import collections
import multiprocessing
import sys
import warnings

import numpy as np

from autoencoders import AnomalyDetector
from benchmarks.turns import table

KINDS = ("Gaussian", "heavy-tailed", "rounded")
FIT, CALIBRATION, FRESH, ANOMALIES = 5000, 999, 2000, 100
LOW, HIGH, FDR = 0.01, 0.05, 0.05


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sets", type=int, default=200)
    parser.add_argument("--epochs", type=int, default=2)
    arguments = parser.parse_args()
    found = {kind: collections.defaultdict(list) for kind in KINDS}
    jobs = [(KINDS[seed % len(KINDS)], seed, arguments.epochs) for seed in range(arguments.sets)]
    # Compiled programs stay in memory for as long as their process lives.
    with multiprocessing.get_context("spawn").Pool(1, maxtasksperchild=25) as pool:
        for number, (kind, rates) in enumerate(pool.imap(_measure, jobs), 1):
            print(f"\r  {number} of {len(jobs)}", end="", flush=True, file=sys.stderr)
            for key, value in rates.items():
                found[kind][key].append(value)
    print("\r" + " " * 40, end="\r", file=sys.stderr)
    print(f"\n{arguments.sets} data sets; detectors fitted on {FIT:,} rows, {CALIBRATION} of them")
    print(f"held back; {FRESH:,} fresh normal rows; batches of {9 * ANOMALIES} normal rows and")
    print(
        f"{ANOMALIES} anomalies for false discoveries. In %, mean ± standard error over data sets\n"
    )
    rows = []
    for (name, stated), values in _together(found).items():
        cells = [_mean_and_error(values[kind]) for kind in (*KINDS, "all")]
        rows.append([name, f"{100 * stated:g}" if stated else "", *cells])
    table(["", "stated, at most", *KINDS, "all"], rows)


def _measure(job):
    return job[0], measure(*job)


def measure(kind, seed, epochs):
    """Rates on one data set, by what they are and the rate that is stated."""
    # Where nothing is flagged, there is no false alarm.
    warnings.filterwarnings("ignore", ".* rows score below all")
    rng = np.random.default_rng([seed, 1])  # not the numbers that the detector splits rows by
    draw, features = mixture(kind, rng)
    detector = AnomalyDetector(
        fpr=LOW,
        epochs=epochs,
        # Just enough for p-values of 0.001 and for both rates to be met exactly.
        calibration_size=CALIBRATION / FIT,
        model_params={"hidden_units": (32,), "latent_dim": 16},
        random_state=seed,
    ).fit(draw(FIT))
    fresh = draw(FRESH)
    p = detector.p_values(fresh)
    result = {
        ("false positives: predict, from fit", LOW): np.mean(detector.predict(fresh) < 0),
        ("false positives: p-values, from fit", LOW): np.mean(p <= LOW),
        ("false positives: p-values, from fit", HIGH): np.mean(p <= HIGH),
    }
    batch = np.concatenate([draw(9 * ANOMALIES), anomalies(draw, rng, features)])
    result |= _discoveries(detector.predict(batch, fdr=FDR) < 0, "from fit")
    detector.calibrate(draw(CALIBRATION), fpr=HIGH)
    key = "false positives: predict, from calibrate"
    result[key, HIGH] = np.mean(detector.predict(fresh) < 0)
    return result | _discoveries(detector.predict(batch, fdr=FDR) < 0, "from calibrate")


def _discoveries(flagged, source):
    normal = len(flagged) - ANOMALIES
    proportion = flagged[:normal].sum() / max(flagged.sum(), 1)
    return {
        (f"false discoveries, {source}", FDR): proportion,
        (f"anomalies found then, {source}", None): flagged[normal:].mean(),
    }


def mixture(kind, rng):
    """A random mixture: a function that draws so many rows of it, and its number of features."""
    features, parts = int(rng.integers(2, 21)), int(rng.integers(1, 6))
    means = rng.normal(0.0, 3.0, (parts, features))
    factors = rng.normal(0.0, 1.0, (parts, features, features)) / np.sqrt(features)
    shares = rng.dirichlet(np.ones(parts))
    freedom = rng.uniform(1.5, 4.0)

    def draw(count):
        part = rng.choice(parts, count, p=shares)
        noise = rng.standard_normal((count, features))
        if kind == "heavy-tailed":  # Student's t
            noise /= np.sqrt(rng.chisquare(freedom, (count, 1)) / freedom)
        rows = means[part] + np.einsum("nij,nj->ni", factors[part], noise)
        return (np.round(rows / 2.0) if kind == "rounded" else rows).astype("float32")

    return draw, features


def anomalies(draw, rng, features):
    """Normal rows, moved far away each in a direction of its own."""
    rows = draw(ANOMALIES)
    directions = rng.standard_normal(rows.shape)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    scale = np.median(np.abs(rows - np.median(rows, axis=0)))
    lengths = rng.uniform(2.0, 10.0, (ANOMALIES, 1)) * np.sqrt(features) * max(scale, 0.5)
    return (rows + lengths * directions).astype("float32")


def _together(found):
    """From kind and key to key and kind, with all kinds together besides."""
    result = collections.defaultdict(dict)
    for kind, values in found.items():
        for key, own in values.items():
            result[key][kind] = own
    for own in result.values():
        own["all"] = [value for values in own.values() for value in values]
        for kind in KINDS:
            own.setdefault(kind, [])
    return result


def _mean_and_error(values):
    if len(values) < 2:
        return ""
    error = np.std(values, ddof=1) / np.sqrt(len(values))
    return f"{100 * np.mean(values):.2f} ± {100 * error:.2f}"


if __name__ == "__main__":
    main()
