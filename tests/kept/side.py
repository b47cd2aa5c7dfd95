"""One side of `tests.compatible`: trains in every loop and writes down losses and weights.

It runs by itself, by path, with whichever `autoencoders` its interpreter has.
"""

import argparse
import fnmatch
import gc
import json
import sys
import time
import warnings
from functools import partial
from pathlib import Path

import cases
import facts
import keras
import numpy as np

import autoencoders

# Twenty steps of a model that is built here.
_FRESH_ROWS, _FRESH_EPOCHS = 64, 5


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--package", type=Path, help="where `autoencoders` has to be")
    parser.add_argument("--cases", help="a pattern of the cases' names")
    parser.add_argument("--folder", type=Path, help="where to write")
    arguments = parser.parse_args()
    here = Path(autoencoders.__file__).resolve()
    assert here.is_relative_to(arguments.package.resolve()), f"This is another one: {here}"
    warnings.simplefilter("ignore")
    found, weights = {}, {}
    for name, run in jobs(arguments.folder, arguments.cases):
        start = time.perf_counter()
        try:
            logged, variables = run()
            found[name] = {"logged": logged}
            weights.update({f"{name}|{key}": value for key, value in variables.items()})
        except Exception as error:
            found[name] = {"error": f"{type(error).__name__}: {error}".splitlines()[0]}
        print(f"{name} {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
        keras.backend.clear_session()
        gc.collect()
    (arguments.folder / "logged.json").write_text(json.dumps(found))
    np.savez(arguments.folder / "weights.npz", **weights)


def jobs(folder, pattern):
    """What is to be trained: pairs of a name, `what loop`, and a function that trains it."""
    for path in sorted(Path(__file__).parent.glob("*/*.keras")):
        name = f"{path.parent.name}/{path.stem}"
        if path.stem.endswith("detector"):  # it is no model that `compile` could set a loop of
            if fnmatch.fnmatch(f"{name} default", pattern):
                yield f"{name} default", partial(_kept, path, cases.CASES[path.stem])
            continue
        for loop in _loops(name, pattern):
            yield f"{name} {loop}", partial(_kept_in, loop, path, folder)
    for name in autoencoders.list_models():
        loops = _loops(name, pattern)
        if loops and _samples(name):
            for loop in loops:
                yield f"{name} {loop}", partial(_fresh, name, loop)


def _loops(name, pattern):
    return [loop for loop in facts.LOOPS if fnmatch.fnmatch(f"{name} {loop}", pattern)]


def _kept_in(loop, path, folder):
    return _kept(_with_loop(path, loop, folder / "changed.keras"), cases.CASES[path.stem])


def _with_loop(path, loop, changed):
    """A copy of a file whose model is compiled for that loop: compiling anew loses its state."""
    return facts.changed(path, changed, lambda c: c["compile_config"].update(facts.LOOPS[loop]))


def _kept(path, case):
    loaded = autoencoders.load(path)
    data = case.data()
    if hasattr(loaded, "model_"):
        loaded.fit(*data)
        outputs = facts.outputs(loaded, case)
        logged = loaded.model_.history.history
        return logged, {**outputs, **_weights(loaded.model_)}
    logged = loaded.fit(*data, batch_size=case.batch_size, epochs=2, verbose=0).history
    return logged, _weights(loaded)


def _samples(name):
    """Whether it has a generator besides the one that shuffles."""
    return len(facts.random_state(cases.small(name))) > 1


def _fresh(name, loop):
    keras.utils.set_random_seed(sum(map(ord, name)))
    model = cases.small(name)
    model.compile_from_config({**model.get_compile_config(), **facts.LOOPS[loop]})
    data = cases.data_for(model, _FRESH_ROWS)
    model.fit(*data, batch_size=16, epochs=_FRESH_EPOCHS, verbose=0)
    return model.history.history, _weights(model)


def _weights(model):
    found = {name: np.asarray(variable) for name, variable in facts.variables(model).items()}
    for phase, optimizer in model.phase_optimizers.items():
        for number, variable in enumerate(optimizer.variables):
            found[f"{phase} optimizer {number}"] = np.asarray(variable)
    return found


if __name__ == "__main__":
    main()
