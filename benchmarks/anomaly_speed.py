"""Speed of anomaly detection, side by side: fitting and scoring a table, in seconds.

    python -m benchmarks.anomaly_speed --python path/to/another/python
    python -m benchmarks.anomaly_speed --rows 2000 --epochs 1 --rounds 2

Against PyOD's AutoEncoder: the same epochs, widths and batch size, which are its defaults. All
training rows are trained on and scored in `fit`, as PyOD does, which `contamination=0.1` asks for;
it has batch normalisation and dropout besides. A new detector each time, compiling included. PyOD
is looked for in the interpreters that `--python` names, and is timed on one thread, too: with
several, layers this small wait for one another, and for whatever else the machine does. All take
turns; ratios are medians over the rounds.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from benchmarks.turns import Peer, median_ratio, table, take_turns


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=50_000)
    parser.add_argument("--features", type=int, default=32)
    parser.add_argument("--epochs", type=int, default=5)
    parser.add_argument("--batch-size", type=int, default=32)
    parser.add_argument("--widths", type=int, nargs="*", default=[64, 32])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--python", nargs="*", default=[], help="interpreters with more peers")
    arguments = parser.parse_args()
    print(
        f"\n{arguments.rows:,} rows of {arguments.features} features, {arguments.epochs} epochs in "
        f"batches of {arguments.batch_size}, layers of {arguments.widths}"
    )
    *hidden_units, latent_dim = arguments.widths
    common = {
        "epochs": arguments.epochs,
        "batch_size": arguments.batch_size,
        "model_params": {"hidden_units": hidden_units, "latent_dim": latent_dim},
        "contamination": 0.1,
    }
    plain = {**common, "model": "ae_mlp", "score": "reconstruction_error"}
    pyod = {
        "epoch_num": arguments.epochs,
        "batch_size": arguments.batch_size,
        "hidden_neuron_list": arguments.widths,
    }
    fits = {
        "AnomalyDetector('ae_mlp')": ("keras_anomaly:fit", plain),
        "AnomalyDetector(), five noise levels": ("keras_anomaly:fit", common),
        "PyOD's AutoEncoder": ("pyod_anomaly:fit", pyod),
        "PyOD's AutoEncoder, one thread": ("pyod_anomaly:fit", {**pyod, "threads": 1}),
    }
    scores = {
        "AnomalyDetector('ae_mlp')": ("keras_anomaly:score", plain),
        "AnomalyDetector(), five noise levels": ("keras_anomaly:score", common),
        "PyOD's AutoEncoder": ("pyod_anomaly:score", pyod),
        "PyOD's AutoEncoder, one thread": ("pyod_anomaly:score", {**pyod, "threads": 1}),
        "the same, batch_size=4096": (
            "pyod_anomaly:score",
            {**pyod, "threads": 1, "scoring_rows": 4096},
        ),
    }
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "x.npy"
        np.save(data, _rows(arguments.rows, arguments.features))
        for title, places in (("fit", fits), ("Scoring the same rows", scores)):
            compare(title, places, str(data), arguments)


def compare(title, places, data, arguments):
    interpreters = [sys.executable, *arguments.python]
    peers = [
        Peer(name, place, {"data": data, **options}, interpreters)
        for name, (place, options) in places.items()
    ]
    take_turns(peers, arguments.rounds)
    for peer in peers:
        peer.stop()
    ours = peers[0]
    rows = []
    for peer in peers:
        if peer.problem:
            rows.append([peer.name, peer.problem, "", ""])
            continue
        rows.append(
            [
                peer.name,
                f"{statistics.median(peer.seconds):.3f}",
                f"{median_ratio(ours, peer):.2f}",
                f"{peer.first:.2f}",
            ]
        )
    print(f"\n{title}\n")
    table(["", "seconds", "ours is faster by", "first time, s"], rows)


def _rows(count, features):
    """Rows near a subspace of a quarter of the dimensions."""
    rng = np.random.default_rng(0)
    codes = rng.standard_normal((count, max(1, features // 4)))
    x = codes @ rng.standard_normal((codes.shape[1], features))
    return (x + 0.1 * rng.standard_normal(x.shape)).astype("float32")


if __name__ == "__main__":
    main()
