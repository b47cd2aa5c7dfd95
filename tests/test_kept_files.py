"""Files that earlier versions wrote: they load, mean the same, and train on in the same way.

A release adds a set of its own beside those that are there: `python tests/kept/write.py`. No set is
ever written anew: its files are what users have on their disks.
"""

import json
from pathlib import Path

import numpy as np
import pytest
from packaging.version import Version

import autoencoders
from autoencoders import serialization
from autoencoders.anomaly.scaling import _SCALERS
from autoencoders.anomaly.scores import SCORES
from autoencoders.layers.penalties import _KERNELS
from autoencoders.networks.recurrent import _CELLS
from tests.kept import cases, facts

FOLDER = Path(cases.__file__).parent
MODELS = sorted(FOLDER.glob("*/*.keras"))
WEIGHTS = sorted(FOLDER.glob("*/*.weights.h5"))


def _named(paths):
    return [pytest.param(path, id=f"{path.parent.name}-{path.name}") for path in paths]


@pytest.mark.parametrize("path", _named(MODELS))
def test_a_kept_model_loads_and_trains_on(path, tmp_path):
    loaded = autoencoders.load(path)
    _check(path, loaded, cases.CASES[path.stem], tmp_path / path.name)


@pytest.mark.parametrize("path", _named(WEIGHTS))
def test_kept_weights_load_and_train_on(path, tmp_path):
    case = cases.CASES[path.name.split(".")[0]]
    with facts.eagerly():
        loaded = facts.with_weights(path, case)
    _check(path, loaded, case, tmp_path / path.name)


def _check(path, loaded, case, again):
    """Compare with what the version that wrote the file wrote down beside it."""
    stem = facts.stem(path)
    expected = json.loads(stem.with_name(f"{stem.name}.json").read_text())
    with facts.eagerly():
        _check_state(expected["state"], facts.state(loaded))
        _check_outputs(stem.with_name(f"{stem.name}.npz"), facts.outputs(loaded, case))
        assert facts.state(loaded) == expected["state"], "what was put out changed the state"
        if path.suffix == ".keras":
            loaded.save(again)
            configs = (facts.config_of_file(file) for file in (path, again))
            assert facts.lost(*configs) == []
        else:
            loaded.save_weights(again)
        assert facts.h5_paths(again) == expected["paths"], "saved again it has other paths"
        if "logged" in expected:
            _check_logs(expected["logged"], facts.train_on(loaded, case))


def _check_state(expected, found):
    for part, values in expected.items():
        if isinstance(values, dict):
            for name, value in values.items():
                assert found[part].get(name) == value, f"{part}: {name}"
        assert found[part] == values, part


def _check_outputs(path, found):
    with np.load(path) as expected:
        assert set(expected) == set(found)
        for name in expected:
            scale = np.abs(np.nan_to_num(expected[name])).max()
            np.testing.assert_allclose(found[name], expected[name], rtol=0, atol=1e-6 * scale)


def _check_logs(expected, found):
    assert len(expected) == len(found)
    for before, after in zip(expected, found, strict=True):
        assert set(before) == set(after)
        for term, values in before.items():
            np.testing.assert_allclose(after[term], values, rtol=1e-4, atol=1e-7, err_msg=term)


# What is kept -------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def kept():
    """Class and config of every object of this package in a kept file."""
    found = []
    for path in MODELS:
        for serialized in facts.objects(facts.config_of_file(path)):
            name = facts.class_of(serialized)
            if name is not None:
                found.append((name, serialized["config"] or {}))
    return found


def test_the_sets_are_complete():
    newest = max({path.parent for path in MODELS}, key=lambda folder: Version(folder.name))
    expected = set()
    for name, case in cases.CASES.items():
        stems = {name: "keras"} | {f"{name}.{state}": "weights.h5" for state in case.weights}
        for stem, suffix in stems.items():
            expected |= {f"{stem}.{suffix}", f"{stem}.json", f"{stem}.npz"}
    assert {path.name for path in newest.iterdir()} == expected


def test_every_class_is_kept(kept):
    missing = set(serialization.MODULE_OF_CLASS) - {name for name, _ in kept}
    assert not missing, f"In no kept file: {sorted(missing)}. Add cases to tests/kept/cases.py."


@pytest.mark.parametrize(
    ("class_name", "key", "kinds"),
    [
        ("DIPPenalty", "kind", [2]),
        ("Gaussian", "stddev", [None, 0.5]),
        ("GumbelSoftmax", "code_dim", [None, 4]),
        ("MMDPenalty", "kernel", _KERNELS),
        ("RecurrentDecoder", "bidirectional", [True, False]),
        ("RecurrentDecoder", "cell", _CELLS),
        ("RecurrentDecoder", "teacher_forcing", [True, False]),
        ("RestrictedBoltzmannMachine", "hidden", ["gaussian"]),
        ("RestrictedBoltzmannMachine", "visible", ["binary"]),
        ("VectorQuantizer", "decay", [None, 0.8]),
    ],
)
def test_every_kind_of_a_part_is_kept(kept, class_name, key, kinds):
    found = {config[key] for name, config in kept if name == class_name}
    assert found >= set(kinds), f"Add cases to tests/kept/cases.py: {found} alone are kept."


def test_every_score_and_scaler_of_detectors_is_kept(kept):
    detectors = [config for name, config in kept if name.endswith("AnomalyDetector")]
    fitted = [config["fitted"].get("score") for config in detectors]
    found = {name for score in fitted for name in (score if isinstance(score, list) else [score])}
    assert found >= set(SCORES)
    assert {config["arguments"]["scaler"] for config in detectors} >= set(_SCALERS)
