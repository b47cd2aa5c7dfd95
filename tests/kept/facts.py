"""What a saved file has to bring back: outputs, state, config; and how the model trains on.

Names follow from the attributes that lead to a variable. Keras's own count the layers made so far
in the process, so that a loaded model's differ from the saved one's.

This file and its neighbours import no package but `autoencoders`, of whichever version the
interpreter has.
"""

import hashlib
import json
import warnings
import zipfile
from collections import deque
from contextlib import contextmanager

import h5py
import keras
import numpy as np
import tensorflow as tf

_SEED = "seed_generator_state"

# What `state` tells of a model before it is saved: of Keras's own loop a file says nothing.
SAVED = ("epochs_trained", "random_state", "variables", "optimizers")

# What `compile` is given for each loop.
LOOPS = {
    "eager": {"run_eagerly": True, "jit_compile": False, "steps_per_execution": None},
    "keras": {"run_eagerly": False, "jit_compile": False, "steps_per_execution": 1},
    "fused": {"run_eagerly": False, "jit_compile": False, "steps_per_execution": None},
    "xla": {"run_eagerly": False, "jit_compile": True, "steps_per_execution": None},
}

# Rows that a loaded model puts out, and how it trains on: for two epochs of two steps.
_SHOWN = 8
_ROWS, _EPOCHS = 32, 2


@contextmanager
def eagerly():
    """Without tracing programs, which takes longer than these few steps."""
    tf.config.run_functions_eagerly(True)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "Even though the `tf.config")
            warnings.filterwarnings("ignore", "Posterior collapse")
            yield
    finally:
        tf.config.run_functions_eagerly(False)


def network(loaded):
    """The model itself, or the one within a detector."""
    return getattr(loaded, "model_", loaded)


def uncompiled(model, case):
    """One like the model, but not compiled, and with other weights."""
    other = type(model).from_config(model.get_config())
    other.ensure_built(case.data()[0])
    return other


def with_weights(path, case):
    """A model that was just built for the case, with the weights in a file."""
    model = case.build()
    model.ensure_built(case.data()[0])
    if path.name.endswith(".uncompiled.weights.h5"):
        model = uncompiled(model, case)
    model.load_weights(path)
    return model


def stem(path):
    """A kept file's path without `.keras` or `.weights.h5`."""
    return path.with_name(path.name.removesuffix(".keras").removesuffix(".weights.h5"))


def outputs(loaded, case):
    """What a model or a detector puts out: arrays by name. It leaves all state as it is."""
    if hasattr(loaded, "model_"):
        x = case.given()
        found = {
            "scores": loaded.score_samples(x),
            "decision": loaded.predict(x),
            "offset": loaded.offset_,
        }
        if loaded.calibration_scores_ is not None:
            found["calibration_scores"] = loaded.calibration_scores_
        return {name: np.asarray(values) for name, values in found.items()}
    found = {"predicted": loaded.predict(case.given(_SHOWN), verbose=0)}
    if case.samples and getattr(loaded, "prior", None) is not None:
        found["sampled"] = loaded.sample(_SHOWN, seed=1)
    return found


def state(loaded):
    """What has to come back to the bit, as JSON has it."""
    model = network(loaded)
    if not model.compiled:  # whose files hold weights alone
        return {"variables": values(model)}
    loop = model.training_loop
    return {
        "epochs_trained": model.epochs_trained,
        "training_loop": None if loop is None else [loop.name, loop.xla_from],
        "random_state": random_state(model),
        "variables": values(model),
        "optimizers": optimizers(model),
    }


def train_on(loaded, case):
    """Train on for a few steps.

    Returns:
        What was logged, a list of dicts of lists: of `fit`, and of what the case does after it.
    """
    data = case.data()
    if hasattr(loaded, "model_"):
        loaded.fit(*data)
        logged = loaded.model_.history.history
        return [logged, {name: values.tolist() for name, values in outputs(loaded, case).items()}]
    data = tuple(part[:_ROWS] for part in data)
    before = loaded.epochs_trained
    epochs = {"initial_epoch": before, "epochs": before + _EPOCHS}
    logged = [loaded.fit(*data, batch_size=case.batch_size, **epochs, verbose=0).history]
    if case.go_on is not None:
        logged += case.go_on(loaded, data[0])
    return logged


# State --------------------------------------------------------------------------------------------


def variables(model):
    """Every variable of a model but its metrics', by the attributes that lead to it, in order."""
    names = {}
    queue, seen = deque([("", model)]), set()
    while queue:
        path, part = queue.popleft()
        if id(part) in seen:
            continue
        seen.add(id(part))
        if isinstance(part, keras.random.SeedGenerator):
            names[id(part.state)] = path
            continue
        own = {}
        for variable in part.variables:  # those of parts within get another name in their turn
            name = _unique(_joined(path, variable.name), own)
            own[name] = variable
            names[id(variable)] = name
        queue.extend(_parts_of(path, part))
    return {names[id(variable)]: variable for variable in model.variables}


def _joined(path, name):
    return f"{path}.{name}" if path else name


def _unique(name, taken):
    number, found = 1, name
    while found in taken:
        number += 1
        found = f"{name}#{number}"
    return found


def _parts_of(path, part):
    attributes = vars(part)
    for name in sorted(attributes, key=lambda name: (name.startswith("_"), name)):
        value = attributes[name]
        # Of private attributes generators alone: most are Keras's lists of what has a name besides.
        if isinstance(value, keras.random.SeedGenerator) or not name.startswith("_"):
            yield from _found_in(_joined(path, name), value)
    if isinstance(part, keras.Model):
        yield from _found_in(_joined(path, "layers"), part.layers)


def _found_in(path, value):
    if isinstance(value, (keras.layers.Layer, keras.random.SeedGenerator)):
        yield path, value
    elif isinstance(value, (list, tuple)):
        for number, item in enumerate(value):
            yield from _found_in(f"{path}[{number}]", item)
    elif isinstance(value, dict):
        for key in sorted(value, key=str):
            yield from _found_in(f"{path}[{key}]", value[key])


def random_state(model):
    """The state of every seed generator, by the attributes that lead to it, in the file's order."""
    found = variables(model).items()
    return [
        [name, np.asarray(variable).tolist()] for name, variable in found if variable.name == _SEED
    ]


def values(model):
    """A digest of every variable's value, by name; of those of seed generators not."""
    found = variables(model).items()
    return {name: digest(variable) for name, variable in found if variable.name != _SEED}


def optimizers(model):
    """Digests of every optimizer's variables in their order, by the phase that it updates."""
    return {
        phase: [digest(variable) for variable in optimizer.variables]
        for phase, optimizer in model.phase_optimizers.items()
    }


def digest(variable):
    """Shape and hash of a value: equal for equal bits alone."""
    value = np.asarray(variable)
    found = hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()[:16]
    return f"{value.dtype} {list(value.shape)} {found}"


# Configs ------------------------------------------------------------------------------------------


def config(model):
    """All that `config.json` in a file of the model says, as JSON has it."""
    return json.loads(json.dumps(keras.saving.serialize_keras_object(model)))


def config_of_file(path):
    """What `config.json` in a `.keras` file says."""
    with zipfile.ZipFile(path) as file:
        return json.loads(file.read("config.json"))


def changed(path, copy, change):
    """Write a copy of a `.keras` file, whose config `change` is given to alter; give its path."""
    with zipfile.ZipFile(path) as old, zipfile.ZipFile(copy, "w") as new:
        for item in old.namelist():
            content = old.read(item)
            if item == "config.json":
                config = json.loads(content)
                change(config)
                content = json.dumps(config)
            new.writestr(item, content)
    return copy


def objects(value):
    """Every serialised object within a config, itself among them, as the dict that it is."""
    if isinstance(value, dict):
        if "class_name" in value and "config" in value:
            yield value
        for part in value.values():
            yield from objects(part)
    elif isinstance(value, list):
        for part in value:
            yield from objects(part)


def class_of(serialized, package="autoencoders"):
    """The name of a serialised object's class, or None for one that is not this package's."""
    owner, _, name = (serialized.get("registered_name") or "").rpartition(">")
    return name if owner == package else None


def config_keys(value):
    """The keys that the configs of each of this package's classes have, by class."""
    keys = {}
    for serialized in objects(value):
        name = class_of(serialized)
        if name is not None and serialized["config"] is not None:
            keys.setdefault(name, set()).update(serialized["config"])
    return {name: sorted(found) for name, found in sorted(keys.items())}


# Where a class happens to be, and a number by which Keras knows an object again within one file.
_OF_A_PROCESS = ("module", "shared_object_id")


def lost(before, after, path="config"):
    """What a config says that a later one does not, as a list of sentences.

    Arguments that are new since may be there besides.
    """
    if isinstance(before, dict) and isinstance(after, dict):
        found = []
        for key, value in before.items():
            if key in _OF_A_PROCESS:
                continue
            if key not in after:
                found.append(f"{path}.{key} is gone")
            else:
                found += lost(value, after[key], f"{path}.{key}")
        return found
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = enumerate(zip(before, after, strict=True))
        return [line for i, pair in pairs for line in lost(*pair, f"{path}[{i}]")]
    return [] if before == after else [f"{path} was {before!r} and is {after!r}"]


# Files --------------------------------------------------------------------------------------------


def h5_paths(file):
    """Shape of every array in an h5 file, or in the one within a `.keras` file, by its path."""
    if str(file).endswith(".keras"):
        with zipfile.ZipFile(file) as archive, archive.open("model.weights.h5") as inner:
            return h5_paths(inner)
    shapes = {}
    with h5py.File(file, "r") as opened:

        def visit(path, found):
            if isinstance(found, h5py.Dataset):
                shapes[path] = str(list(found.shape))

        opened.visititems(visit)
    return dict(sorted(shapes.items()))
