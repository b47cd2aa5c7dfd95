"""Trains the same with an earlier commit and with this one, side by side on one machine.

    make compatible OLD=<commit>

The commit is installed into an environment of its own, in `.compatible`, which borrows all other
packages of this one. Each side is one process (`kept/side.py`): it trains every kept model on, and
twenty steps of every registered model that samples, in each loop. What is compared are the losses
of every epoch and all variables, those of optimizers and generators among them.
"""

import argparse
import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import time
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parent.parent
WORK = ROOT / ".compatible"
SIDE = Path("tests", "kept", "side.py")


def main():
    """Compare, print the table, and exit with 1 if something differs by more than it may."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("old", help="the commit to compare with")
    parser.add_argument("--cases", default="*", help="a pattern of names, such as 'vae_* xla'")
    parser.add_argument("--tolerance", type=float, default=0.0, help="relative; 0: to the bit")
    parser.add_argument("--xla-tolerance", type=float, default=1e-6, help="the same in XLA")
    parser.add_argument("--in-turn", action="store_true", help="one side after the other")
    arguments = parser.parse_args()
    start = time.perf_counter()
    folder, python = _installed(arguments.old)
    sides = {"old": (python, folder / "venv"), "new": (Path(sys.executable), ROOT)}
    processes = []
    for side, (interpreter, package) in sides.items():
        processes.append(_start(interpreter, package, folder / side, arguments.cases))
        if arguments.in_turn:
            processes[-1].wait()
    if any([process.wait() for process in processes]):
        sys.exit("A side broke off: see above.")
    old, new = (Side(folder / side) for side in sides)
    worst = _table(old, new, arguments)
    failed = sum("error" in run for run in new.logged.values())
    seconds = time.perf_counter() - start
    print(f"{len(new.logged)} runs, {failed} of them with an error on both sides, {seconds:.0f} s")
    if not new.logged:
        sys.exit(f"No run is called {arguments.cases!r}.")
    sys.exit(worst)


class Side:
    """What one side wrote down: `logged` by run, and `weights(run)`, arrays by name."""

    def __init__(self, folder):
        self.logged = json.loads((folder / "logged.json").read_text())
        self._weights = {}
        with np.load(folder / "weights.npz") as arrays:
            for key in arrays:
                run, _, name = key.partition("|")
                self._weights.setdefault(run, {})[name] = arrays[key]

    def weights(self, run):
        return self._weights[run]


def _installed(commit):
    """Folder and interpreter of an environment with that commit, made if it is not there."""
    command = ["git", "rev-parse", "--verify", f"{commit}^{{commit}}"]
    found = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    folder = WORK / found.stdout.strip()[:12]
    python = folder / "venv" / "bin" / "python"
    if (folder / "installed").exists():
        return folder, python
    source = folder / "source"
    source.mkdir(parents=True, exist_ok=True)
    archive = folder / "source.tar"
    subprocess.run(["git", "archive", "-o", archive, commit], cwd=ROOT, check=True)
    with tarfile.open(archive) as opened:
        opened.extractall(source, filter="data")
    archive.unlink()
    venv = [sys.executable, "-m", "venv", "--clear", "--without-pip", folder / "venv"]
    subprocess.run(venv, check=True)
    (site,) = (folder / "venv" / "lib").glob("python*/site-packages")
    # By this environment's pip, which has what builds the package, and leaves alone what is here.
    install = [sys.executable, "-m", "pip", "install", "--no-deps", "--no-build-isolation"]
    install += ["--quiet", "--disable-pip-version-check", "--target", site, source]
    subprocess.run(install, check=True)
    # A path alone: what `.pth` files in that folder say, this checkout's place say, is not read.
    (site / "borrowed.pth").write_text(sysconfig.get_path("purelib") + "\n")
    (folder / "installed").touch()
    return folder, python


def _start(python, package, folder, pattern):
    folder.mkdir(exist_ok=True)
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "TF_NUM_INTRAOP_THREADS": "1"}
    environment["PYTHONPATH"] = str(ROOT) if package == ROOT else ""
    command = [python, SIDE, "--package", package, "--folder", folder, "--cases", pattern]
    return subprocess.Popen(command, cwd=ROOT, env=environment)


def _table(old, new, arguments):
    """Print how the runs compare; 1 if one of them differs by more than it may, otherwise 0."""
    worst = 0
    for run in sorted({*old.logged, *new.logged}):
        allowed = arguments.xla_tolerance if run.endswith(" xla") else arguments.tolerance
        verdict, within = _compared(run, old, new, allowed)
        worst = max(worst, 0 if within else 1)
        print(f"{run:45} {verdict}{'' if within else '   <- more than it may'}")
    return worst


def _compared(run, old, new, allowed):
    """What there is to say of a run, and whether it may be so."""
    if run not in old.logged or run not in new.logged:
        return f"on the {'new' if run in new.logged else 'old'} side alone", run in new.logged
    errors = [side.logged[run].get("error") for side in (old, new)]
    if errors[1] is not None:
        return f"old: {errors[0]}; new: {errors[1]}", errors[0] == errors[1]
    if errors[0] is not None:
        return f"the old side could not: {errors[0]}", True
    losses = _difference(*(side.logged[run]["logged"] for side in (old, new)))
    weights = _difference(*(side.weights(run) for side in (old, new)))
    if losses == weights == 0.0:
        return "equal to the bit", True
    return f"losses {losses:.1e}, weights {weights:.1e}", max(losses, weights) <= allowed


def _difference(before, after):
    """The largest difference of two dicts of arrays, relative to the largest number in an array."""
    if set(before) != set(after):
        return np.inf
    worst = 0.0
    for name in before:
        a, b = np.asarray(before[name], "float64"), np.asarray(after[name], "float64")
        if a.shape != b.shape or not np.array_equal(np.isnan(a), np.isnan(b)):
            return np.inf
        a, b = np.nan_to_num(a), np.nan_to_num(b)
        distance = np.abs(a - b).max(initial=0.0)
        if distance > 0.0:
            worst = max(worst, distance / np.abs(a).max(initial=1e-30))
    return worst


if __name__ == "__main__":
    main()
