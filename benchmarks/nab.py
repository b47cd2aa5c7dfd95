"""Anomalies in series of the Numenta Anomaly Benchmark, as a table.

    python -m benchmarks.nab FOLDER
    python -m benchmarks.nab FOLDER --share 0.3 --window 64 --pictures pictures

FOLDER holds the series as files `*.csv` with the columns `timestamp` and `value`, and the labels as
`anomaly_windows.json`: for each file the first and last times of its anomalies. A detector is
fitted on the first part of each series, whatever is in it, and scores all of it; what follows that
part is counted. An anomaly is hit where an interval overlaps it; an interval that overlaps none is
a false alarm. The area under the ROC curve is over points. Nothing here was chosen by the labels:
a window is a day, and the rest is the detector's defaults.

Lavin & Ahmad, "Evaluating real-time anomaly detection algorithms: the Numenta Anomaly Benchmark"
(ICMLA 2015, arXiv:1510.03336).
"""

import argparse
import json
import time
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

import autoencoders
from autoencoders import plots
from benchmarks.turns import table


class Series(NamedTuple):
    name: str
    values: np.ndarray
    day: int  # points in one
    anomalies: list  # of half-open intervals


def read(folder):
    """The series of a folder, with their labels as intervals of points."""
    labels = json.loads((Path(folder) / "anomaly_windows.json").read_text())
    for path in sorted(Path(folder).glob("*.csv")):
        frame = pd.read_csv(path, parse_dates=["timestamp"])
        day = round(pd.Timedelta(days=1) / frame["timestamp"].diff().median())
        anomalies = []
        for first, last in labels[path.name]:
            inside = frame["timestamp"].between(pd.Timestamp(first), pd.Timestamp(last))
            points = np.flatnonzero(inside)
            anomalies.append((int(points[0]), int(points[-1]) + 1))
        yield Series(path.stem, frame["value"].to_numpy(), day, anomalies)


def evaluate(series, share=0.15, window=None, seed=0, **arguments):
    """Fit on the first part of a series and count: figures by name, and the detector."""
    fitted = round(share * len(series.values))
    detector = autoencoders.SeriesAnomalyDetector(
        window=window or series.day, random_state=seed, **arguments
    )
    start = time.perf_counter()
    detector.fit(series.values[:fitted])
    seconds = time.perf_counter() - start
    scores = detector.score_samples(series.values)
    found = [each for each in detector.intervals(series.values) if each[1] > fitted]
    anomalies = [each for each in series.anomalies if each[1] > fitted]
    anomalous = np.zeros(len(scores), bool)
    for first, end in anomalies:
        anomalous[first:end] = True
    judged = np.arange(len(scores)) >= fitted
    auroc = None
    if anomalous.any():
        auroc = roc_auc_score(anomalous[judged], -scores[judged])
    figures = {
        "fitted": fitted,
        "window": detector.window,
        "auroc": auroc,
        "anomalies": len(anomalies),
        "hit": sum(any(_overlap(a, b) for b in found) for a in anomalies),
        "false_alarms": sum(not any(_overlap(a, b) for a in anomalies) for b in found),
        "false_points": np.mean((scores < detector.offset_)[judged & ~anomalous]),
        "seconds": seconds,
    }
    return figures, detector


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folder")
    parser.add_argument("--share", type=float, default=0.15, help="the part that is fitted on")
    parser.add_argument("--window", type=int, help="points; a day unless given")
    parser.add_argument("--pictures", help="a folder for a picture of each series")
    arguments = parser.parse_args()
    lines = []
    for series in read(arguments.folder):
        figures, detector = evaluate(series, arguments.share, arguments.window)
        auroc = "" if figures["auroc"] is None else f"{figures['auroc']:.3f}"
        lines.append(
            [
                series.name,
                f"{len(series.values):,}",
                f"{figures['fitted']:,}",
                f"{figures['window']}",
                auroc,
                f"{figures['hit']} of {figures['anomalies']}",
                f"{figures['false_alarms']}",
                f"{100 * figures['false_points']:.1f} %",
                f"{figures['seconds']:.0f}",
            ]
        )
        if arguments.pictures:
            folder = Path(arguments.pictures)
            folder.mkdir(parents=True, exist_ok=True)
            x = series.values
            figure = plots.anomalies(
                x, detector.score_samples(x), series.anomalies, threshold=detector.offset_
            )
            figure.savefig(folder / f"{series.name}.png")
    titles = ["", "points", "fitted on", "window", "AUROC"]
    titles += ["anomalies hit", "false alarms", "normal points flagged", "fit, s"]
    table(titles, lines)


def _overlap(a, b):
    return a[0] < b[1] and b[0] < a[1]


if __name__ == "__main__":
    main()
