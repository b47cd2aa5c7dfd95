"""Training speed, side by side: samples per second inside an epoch of each peer's training.

    python -m benchmarks.training
    python -m benchmarks.training --models dense_small lstm --rounds 9
    python -m benchmarks.training --python path/to/another/python

Peers that this interpreter lacks (PyTorch, pythae, JAX) are looked for in the ones that `--python`
names. All of a model's peers take turns, a whole epoch each; ratios are medians over the rounds.
The memory is what training takes at its peak over what the loaded data and the built model hold.

The second table times the whole of `fit` on the digits with fresh models, compiling included:

    python -m benchmarks.training --digits

The third compares zoo models of every family with Keras's own loop around the same step:

    python -m benchmarks.training --families

The fourth compares the loop that `fit` chooses with both that it chooses from, on models that draw
random numbers: five epochs with fresh models, compiling included:

    python -m benchmarks.training --loops --rounds 3

The fifth times `fit` with a number that is set before every epoch beside `fit` with one that stays:

    python -m benchmarks.training --annealed
"""

import argparse
import statistics
import sys
import tempfile
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from autoencoders import datasets, info
from benchmarks.tasks import TASKS
from benchmarks.turns import Peer, median_ratio, table, take_turns

PEERS = {
    "autoencoders": "keras_training:autoencoders",
    "stock Keras": "keras_training:stock",
    "stock Keras, jit_compile, 100 steps": "keras_training:stock_jit",
    "PyTorch, eager": "torch_training:eager",
    "PyTorch, compiled": "torch_training:compiled",
    "pythae": "pythae_training:trainer",
    "JAX, scan over the epoch": "jax_training:scan",
    "bare XLA, whole epoch": "keras_training:bare_xla",
}


# Models that the peers of the digits' table have hand-written twins of.
TWINS = ["aae_mlp", "ae_deep", "ae_linear", "ae_mlp", "denoising_mlp", "vae_mlp"]

# One model of each family or more. All of MNIST is an epoch, long enough for XLA to be chosen;
# fewer rows where an epoch takes minutes and XLA is never chosen.
FAMILIES = {
    "ae_mlp": 60_000,
    "sparse_mlp": 60_000,
    "contractive_mlp": 60_000,
    "stacked_mlp": 60_000,
    "denoising_mlp": 60_000,
    "ae_gru": 60_000,
    "ae_recursive": 60_000,
    "ae_conv": 60_000,
    "vae_mlp": 60_000,
    "cvae_mlp": 60_000,
    "beta_tcvae_mlp": 60_000,
    "factor_vae_mlp": 60_000,
    "iwae_mlp": 60_000,
    "aae_mlp": 60_000,
    "vae_gan_conv": 6_000,
    "vq_vae_conv": 60_000,
    "dvae_mlp": 60_000,
}

# Models that draw random numbers, one of them in a layer of Keras's.
DRAWING = [
    "denoising_mlp",
    "denoising_conv",
    "dvae_mlp",
    "iwae_mlp",
    "vae_mlp",
    "vae_conv",
    "aae_mlp",
    "dropout_mlp",
]
LOOPS = {
    "as chosen": {},
    "XLA": {"jit_compile": True},
    "without XLA": {"jit_compile": False},
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--models",
        nargs="*",
        help="some of a table's rows alone",
    )
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--rows", type=int, help="rows in an epoch, in place of the task's")
    parser.add_argument("--python", nargs="*", default=[], help="interpreters with more peers")
    parser.add_argument("--digits", action="store_true", help="whole fits on the digits instead")
    parser.add_argument("--families", action="store_true", help="a model of each family instead")
    parser.add_argument("--loops", action="store_true", help="the choice of the loop instead")
    parser.add_argument("--annealed", action="store_true", help="a number that is set instead")
    arguments = parser.parse_args()
    known = list(TASKS)
    if arguments.families or arguments.loops:
        known = list(FAMILIES) if arguments.families else DRAWING
    if unknown := set(arguments.models or ()) - set(known):
        parser.error(f"not in this table: {sorted(unknown)}")
    if arguments.digits:
        whole_fits(arguments.rounds)
        return
    if arguments.annealed:
        annealed(arguments.rounds)
        return
    (images, labels), _ = datasets.mnist()
    if arguments.families:
        families(images, labels, arguments.rounds, arguments.models or list(FAMILIES))
        return
    if arguments.loops:
        loops(images, labels, arguments.rounds, arguments.models or DRAWING)
        return
    interpreters = [sys.executable, *arguments.python]
    for name in arguments.models or TASKS:
        task = TASKS[name]
        task = task._replace(rows=arguments.rows or task.rows)
        compare(name, task, images, arguments.rounds, interpreters)


def compare(name, task, images, rounds, interpreters):
    print(f"\n{name}: {task.description}; {task.rows:,} rows in batches of {task.batch_size}\n")
    with tempfile.TemporaryDirectory() as folder:
        data = Path(folder) / "x.npy"
        np.save(data, images[: task.rows].reshape(-1, *task.row_shape))
        settings = {"task": name, "data": str(data), "batch_size": task.batch_size}
        peers = [Peer(peer, place, settings, interpreters) for peer, place in PEERS.items()]
        take_turns(peers, rounds)
        for peer in peers:
            peer.stop()
    ours, stock, *_, bare = peers
    rows = []
    for peer in peers:
        if peer.problem:
            rows.append([peer.name, peer.problem, "", "", "", "", ""])
            continue
        speed = task.rows / statistics.median(peer.seconds)
        of_bare = f"{median_ratio(peer, bare):.2f}" if bare.seconds else ""
        rows.append(
            [
                peer.name,
                f"{speed / 1000:,.1f} k",
                f"{median_ratio(ours, peer):.2f}",
                f"{median_ratio(peer, stock):.2f}",
                of_bare,
                f"{peer.first:.1f}",
                f"{peer.memory:,.0f}",
            ]
        )
    header = [
        "",
        "samples/s",
        "ours over it",
        "over stock",
        "over bare XLA",
        "first epoch, s",
        "MiB",
    ]
    table(header, rows)


def families(images, labels, rounds, names):
    print("\nA model of each family on MNIST, in batches of 100: fit, and Keras's own loop\n")
    rows = []
    for name in names:
        count = FAMILIES[name]
        rank = len(info(name)["kwargs"]["input_shape"])
        x = images[:count].reshape(count, 28, 28, *(1,) * (rank - 2))
        with _on_disk(name, x, labels[:count]) as settings:
            peers = [
                Peer(kind, f"keras_zoo:{kind}", settings, [sys.executable])
                for kind in ("autoencoders", "stock")
            ]
            take_turns(peers, rounds)
            for peer in peers:
                peer.stop()
        problem = next((peer.problem for peer in peers if peer.problem), None)
        if problem:
            rows.append([name, problem, "", ""])
            continue
        speeds = [count / statistics.median(peer.seconds) / 1000 for peer in peers]
        speeds = [f"{speed:,.1f} k" for speed in speeds]
        rows.append([name, *speeds, f"{median_ratio(*peers):.2f}"])
    table(["", "fit", "Keras's loop", "ours over it"], rows)


def loops(images, labels, rounds, names, epochs=5):
    print(
        f"\n{epochs} epochs of MNIST in batches of 100, fresh models, compiling included, seconds\n"
    )
    rows = []
    for name in names:
        with _on_disk(name, images, labels) as settings:
            peers = [
                Peer(
                    loop,
                    "keras_zoo:whole",
                    {**settings, **options, "epochs": epochs},
                    [sys.executable],
                )
                for loop, options in LOOPS.items()
            ]
            take_turns(peers, rounds, warm_up=False)
            for peer in peers:
                peer.stop()
        chosen, *others = peers
        cells = [
            peer.problem or f"{statistics.median(peer.seconds):.1f}" for peer in (chosen, *others)
        ]
        ran = [median_ratio(chosen, other) for other in others if not other.problem]
        rows.append([name, *cells, "" if chosen.problem or not ran else f"{min(ran):.2f}"])
    table(["", *LOOPS, "chosen over the faster"], rows)


@contextmanager
def _on_disk(name, images, labels):
    """The arguments of a zoo model's peers, with the data in files."""
    with tempfile.TemporaryDirectory() as folder:
        settings = {"name": name, "batch_size": 100}
        for key, values in (("data", images), ("labels", labels)):
            settings[key] = str(Path(folder) / f"{key}.npy")
            np.save(settings[key], values)
        yield settings


def whole_fits(rounds):
    print("\nWhole fits on the digits (1,437 rows, batch size 32), fresh models, in seconds\n")
    rows = []
    for name in TWINS:
        for epochs in (1, 10):
            settings = {"name": name, "epochs": epochs, "turns": rounds + 1}
            peers = [
                Peer(kind, f"keras_digits:{kind}", settings, [sys.executable])
                for kind in ("autoencoders", "stock")
            ]
            take_turns(peers, rounds)
            for peer in peers:
                peer.stop()
            ours, stock = peers
            medians = [f"{statistics.median(peer.seconds):.2f}" for peer in peers]
            rows.append([name, epochs, *medians, f"{1 / median_ratio(ours, stock):.2f}"])
    table(["", "epochs", "autoencoders", "stock Keras", "ours over stock"], rows)


def annealed(rounds, epochs=100):
    print(f"\n{epochs} epochs of vae_mlp on the digits in batches of 100, fresh models, seconds\n")
    rows = []
    for jit_compile in (False, True):
        settings = {"name": "vae_mlp", "epochs": epochs, "turns": rounds + 1, "batch_size": 100}
        peers = [
            Peer(
                label,
                "keras_digits:annealed",
                {**settings, "jit_compile": jit_compile, "anneal": anneal},
                [sys.executable],
            )
            for label, anneal in (("a new beta in each", True), ("one beta", False))
        ]
        take_turns(peers, rounds)
        for peer in peers:
            peer.stop()
        medians = [f"{statistics.median(peer.seconds):.2f}" for peer in peers]
        loop = "with XLA" if jit_compile else "without XLA"
        rows.append([loop, *medians, f"{1 / median_ratio(*peers):.3f}"])
    table(["", "a new beta in each", "one beta", "ratio"], rows)


if __name__ == "__main__":
    main()
