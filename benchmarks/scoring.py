"""Scoring speed, side by side: reconstruction errors of 60,000 images, in rows per second.

    python -m benchmarks.scoring
    python -m benchmarks.scoring --rounds 9 --python path/to/another/python

The model is an autoencoder 784-256-32. Peers that this interpreter lacks (PyTorch, JAX) are looked
for in the ones that `--python` names. All take turns; ratios are medians over the rounds. The
memory is what scoring takes at its peak over what the loaded data and the built model hold.
"""

import argparse
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np

from autoencoders import datasets
from benchmarks.turns import Peer, median_ratio, table, take_turns

PEERS = {
    "autoencoders, reconstruction_error": "keras_scoring:autoencoders",
    "stock Keras, predict(batch_size=4096) + NumPy": "keras_scoring:stock_large",
    "stock Keras, predict() + NumPy": "keras_scoring:stock",
    "autoencoders, predict(batch_size=4096) + NumPy": "keras_scoring:predict_large",
    "autoencoders, predict() + NumPy": "keras_scoring:predict",
    "PyTorch, 4096 rows at once": "torch_scoring:eager",
    "JAX, error jitted, 4096 rows at once": "jax_scoring:jitted",
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--python", nargs="*", default=[], help="interpreters with more peers")
    arguments = parser.parse_args()
    (images, _), _ = datasets.mnist()
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "x.npy"
        np.save(data, images.reshape(len(images), -1))
        interpreters = [sys.executable, *arguments.python]
        peers = [
            Peer(name, place, {"data": str(data)}, interpreters) for name, place in PEERS.items()
        ]
        take_turns(peers, arguments.rounds)
        for peer in peers:
            peer.stop()
    ours = peers[0]
    rows = []
    for peer in peers:
        if peer.problem:
            rows.append([peer.name, peer.problem, "", "", ""])
            continue
        speed = len(images) / statistics.median(peer.seconds)
        rows.append(
            [
                peer.name,
                f"{speed / 1000:,.0f} k",
                f"{median_ratio(ours, peer):.2f}",
                f"{peer.first:.2f}",
                f"{peer.memory:,.0f}",
            ]
        )
    size = images.nbytes / 2**20
    print(
        f"\n{len(images):,} rows of 784 features; all reconstructions together are {size:.0f} MiB\n"
    )
    table(["", "rows/s", "ours over it", "first time, s", "MiB"], rows)


if __name__ == "__main__":
    main()
