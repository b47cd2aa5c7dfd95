"""Writes the kept files of the version of `autoencoders` that the interpreter has.

    python tests/kept/write.py

They go into a folder of that version's name. `write.py NAME ...` adds single ones to a set. What is
there is never written anew.
"""

import json
import sys
import zipfile
from pathlib import Path

import cases
import facts
import keras
import numpy as np

import autoencoders


def main(names):
    folder = Path(__file__).parent / autoencoders.__version__
    names = names or list(cases.CASES)
    there = [name for name in names if (folder / f"{name}.keras").exists()]
    if there:
        sys.exit(f"{folder} holds {there} already, and what it holds is a promise.")
    folder.mkdir(exist_ok=True)
    for name in names:
        write(folder, name, cases.CASES[name])
        print(name, flush=True)
    print(f"{sum(file.stat().st_size for file in folder.iterdir()) / 2**20:.2f} MiB in {folder}")


def write(folder, name, case):
    """One case's files: the model, weights alone, and what is expected of each."""
    keras.utils.set_random_seed(sum(map(ord, name)))
    built = case.build()
    if hasattr(built, "ensure_built"):
        built.ensure_built(case.data()[0])
    if "uncompiled" in case.weights:
        _write_weights(folder / f"{name}.uncompiled", facts.uncompiled(built, case), case)
    if "compiled" in case.weights:
        _write_weights(folder / f"{name}.compiled", built, case)
    fit(built, case)
    _check_that_no_two_are_alike(name, facts.network(built))
    path = folder / f"{name}.keras"
    built.save(path)
    _repack(path)
    _expect(path, built, autoencoders.load(path), case)
    if "fitted" in case.weights:
        _write_weights(folder / f"{name}.fitted", built, case)


def fit(built, case):
    """Train a model or detector that was just built, as its case says."""
    data = case.data()
    if case.prepare is not None:
        case.prepare(built, data[0])
    if hasattr(built, "score_samples"):
        built.fit(*data)
    else:
        built.fit(*data, batch_size=case.batch_size, epochs=2, verbose=0)
    if case.finish is not None:
        case.finish(built, data[0])


def _write_weights(stem, model, case):
    path = stem.with_name(f"{stem.name}.weights.h5")
    model.save_weights(path)
    _expect(path, model, facts.with_weights(path, case), case)


def _expect(path, saved, loaded, case):
    """Write down what the model is and does that was loaded from the file, and see it is right."""
    with facts.eagerly():
        expected, state = facts.outputs(saved, case), facts.state(saved)
        found = {"paths": facts.h5_paths(path), "state": facts.state(loaded)}
        for part in facts.SAVED:
            assert found["state"].get(part) == state.get(part), (path, part)
        arrays = facts.outputs(loaded, case)
        for name, values in expected.items():
            np.testing.assert_allclose(arrays[name], values, rtol=1e-5, atol=1e-6)
        if facts.network(saved).compiled:
            found["logged"] = facts.train_on(loaded, case)
    stem = facts.stem(path)
    stem.with_name(f"{stem.name}.json").write_text(json.dumps(found, indent=1) + "\n")
    np.savez_compressed(stem.with_name(f"{stem.name}.npz"), **arrays)


def _check_that_no_two_are_alike(name, model):
    """A swap of weights that are alike would pass unseen."""
    for owner in (model, *model.phase_optimizers.values()):
        found = [facts.digest(part) for part in owner.variables if np.prod(part.shape) > 1]
        assert len(found) == len(set(found)), f"{name}: two weights are alike"


def _repack(path):
    """Compress what is in the archive, which Keras leaves as it is, for it is mostly zeros."""
    with zipfile.ZipFile(path) as archive:
        contents = {item: archive.read(item) for item in archive.infolist()}
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for item, content in contents.items():
            archive.writestr(item.filename, content)


if __name__ == "__main__":
    main(sys.argv[1:])
