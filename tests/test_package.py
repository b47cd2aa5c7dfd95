"""The house: what is public, which floors import which, what a wheel holds."""

import ast
import hashlib
import os
import re
import subprocess
import sys
import zipfile
from importlib import import_module
from pathlib import Path

import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import cli, datasets, installation, registry, serialization

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "autoencoders"

# From the ground up; a module imports from its own floor or from those below it.
FLOORS = [
    {
        *("arguments", "checks", "docstrings", "draws", "files", "frames", "installation"),
        *("seeds", "serialization", "types"),
    },
    {"registry", "losses", "distributions", "priors"},
    {"layers", "networks"},
    {"training"},
    {"autoencoder"},
    {"models"},
    {"zoo"},
    {"anomaly", "callbacks", "datasets", "metrics", "plots"},
    {"recipes"},
    {"cli"},
]


def test_the_public_names_are_exactly_these():
    functions = ["get", "list_models", "list_weights", "info", "register", "load"]
    modules = ["callbacks", "datasets", "layers", "losses", "metrics", "networks", "plots"]
    classes = ["AnomalyDetector", "Autoencoder", "SeriesAnomalyDetector"]
    expected = [*functions, *modules, *classes, "__version__"]
    assert sorted(autoencoders.__all__) == sorted(expected)
    assert dir(autoencoders) == sorted(autoencoders.__all__)
    for name in autoencoders.__all__:
        assert getattr(autoencoders, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'gte'"):
        _ = autoencoders.gte


def test_type_checkers_see_what_is_loaded_when_it_is_first_used():
    source = ast.parse((PACKAGE / "__init__.py").read_text())
    (block,) = (
        node
        for node in source.body
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
    )
    seen = {alias.name: node.module for node in block.body for alias in node.names}
    loaded = {**autoencoders._MODULE_OF, **dict.fromkeys(autoencoders._SUBMODULES, "autoencoders")}
    assert seen == loaded
    assert {"__version__", *loaded} == set(autoencoders.__all__)


def test_imports_only_go_down_the_floors():
    floor_of = {room: number for number, rooms in enumerate(FLOORS) for room in rooms}
    for path, imported in _imports():
        room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
        if room in ("__init__", "__main__"):
            continue
        for module in imported:
            other = module.split(".")[1]
            assert floor_of[other] <= floor_of[room], f"{path} imports {module}, which is above it"


def test_families_do_not_import_each_other():
    for path, imported in _imports():
        room, *below = path.relative_to(PACKAGE).with_suffix("").parts
        if room == "models" and below not in (["__init__"], ["building"]):
            family = f"autoencoders.models.{below[0]}"
            others = [module for module in imported if module.startswith("autoencoders.models")]
            assert all(module.startswith(f"{family}.") for module in others), path


def test_only_training_draws_and_arguments_import_tensorflow():
    users = {
        path.relative_to(PACKAGE).parts[0]
        for path in PACKAGE.rglob("*.py")
        if "import tensorflow" in path.read_text()
    }
    assert users == {"arguments", "draws.py", "training"}


def test_random_numbers_come_from_draws_alone():
    """What draws from `keras.random` itself is slow once XLA compiles it."""
    for path in PACKAGE.rglob("*.py"):
        if path.name != "draws.py":
            used = set(re.findall(r"keras\.random\.(\w+)", path.read_text()))
            assert used <= {"SeedGenerator"}, path


def test_listing_imports_neither_keras_nor_tensorflow():
    code = (
        "import sys, autoencoders, autoencoders.cli;"
        "autoencoders.list_models(); autoencoders.info('vae_mlp');"
        "print([m for m in ('keras', 'tensorflow', 'matplotlib', 'sklearn') if m in sys.modules])"
    )
    assert _python(code).strip() == "[]"


def test_every_serialisable_class_is_announced():
    for path in PACKAGE.rglob("*.py"):
        if path.name not in ("__main__.py",):
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            import_module(name.removesuffix(".__init__"))
    registered = {
        name.partition(">")[2]: value.__module__
        for name, value in keras.saving.get_custom_objects().items()
        if name.startswith(f"{serialization.PACKAGE}>")
    }
    assert registered == serialization.MODULE_OF_CLASS


def test_cards_are_data_and_complete():
    for name, card in registry.cards().items():
        assert set(card) == {
            *("builder", "network", "family", "description", "paper"),
            *("kwargs", "recipe", "weights"),
        }, name
        assert {"title", "authors", "year"} <= set(card["paper"]), name
        assert all(sentence.endswith(".") for sentence in card["paper"].get("differs", [])), name
        assert {"dataset", "optimizer", "batch_size", "epochs", "seed"} <= set(card["recipe"]), name
        registry.builder(name)
        assert card["recipe"]["dataset"] in datasets.__all__, name
        for entry in card["weights"].values():
            path = registry.zoo_folder() / "weights" / entry["file"]
            assert path.stat().st_size == entry["size"]
            assert hashlib.sha256(path.read_bytes()).hexdigest() == entry["sha256"]
            assert set(entry) == {
                *("file", "sha256", "size", "dataset", "parameters", "arguments", "recipe"),
                *("figures", "baseline", "tolerance"),
            }, name
            assert entry["size"] <= 12e6
    sizes = [e["size"] for card in registry.cards().values() for e in card["weights"].values()]
    assert sum(sizes) <= 60e6
    files = {entry["file"] for c in registry.cards().values() for entry in c["weights"].values()}
    assert files == {path.name for path in (registry.zoo_folder() / "weights").iterdir()}


def test_the_wheel_works_elsewhere_without_a_network(tmp_path):
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "-o", str(tmp_path), "."]
    subprocess.run(build, cwd=ROOT, check=True, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    installed = tmp_path / "installed"
    zipfile.ZipFile(wheel).extractall(installed)
    code = (
        "import socket, autoencoders, numpy\n"
        "socket.socket.connect = None\n"  # whatever wants the network fails
        "print(autoencoders.__file__)\n"
        "model = autoencoders.get('vae_mlp', weights='mnist')\n"
        "print(model.predict(numpy.zeros((1, 28, 28, 1)), verbose=0).shape)\n"
        "print(autoencoders.metrics.features.extract(numpy.zeros((1, 28, 28, 1))).shape)"
    )
    assert (installed / "autoencoders" / "py.typed").is_file()
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    where, *shapes = _python(code, environment, tmp_path).splitlines()
    assert where == str(installed / "autoencoders" / "__init__.py")
    assert shapes == ["(1, 28, 28, 1)", "(1, 64)"]


def test_two_distributions_in_one_folder_are_told(monkeypatch, tmp_path, small_model, capsys):
    """As `pip install autoencoders`, which is another project's, over this package gives them."""
    small_model.save(tmp_path / "m.keras")
    folder = tmp_path / "autoencoders-3.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: autoencoders\nVersion: 3.0\n")
    monkeypatch.syspath_prepend(tmp_path)
    installation.conflict.cache_clear()
    assert installation.conflict() is None  # It lies elsewhere.
    monkeypatch.setattr(installation, "__file__", str(tmp_path / "autoencoders" / "x.py"))
    installation.conflict.cache_clear()
    with pytest.warns(UserWarning, match=r"keras-autoencoders, and autoencoders 3\.0, .* another"):
        autoencoders.load(tmp_path / "m.keras")
    monkeypatch.setattr("sys.argv", ["autoencoders", "--version"])
    with pytest.raises(SystemExit):
        cli.main()
    assert "Warning: Two distributions are installed" in capsys.readouterr().err
    installation.conflict.cache_clear()


def _imports():
    for path in PACKAGE.rglob("*.py"):
        imported = []
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and node.module == "autoencoders":
                imported += [f"autoencoders.{alias.name}" for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                imported.append(node.module)
            elif isinstance(node, ast.Import):
                imported += [alias.name for alias in node.names]
        rooms = {room for floor in FLOORS for room in floor}
        own = [m for m in imported if m.startswith("autoencoders.") and m.split(".")[1] in rooms]
        yield path, own


def _python(code, environment=None, folder=None):
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=environment, cwd=folder
    )
    return done.stdout


def test_other_backends_of_keras_are_told_what_is_needed(monkeypatch):
    """Where models are built and called, but not trained or asked about rows."""
    x = np.zeros((4, 6), "float32")
    model = autoencoders.get("ae_mlp", input_shape=(6,), hidden_units=(4,))
    stacked = autoencoders.get("stacked_mlp", input_shape=(6,), hidden_units=(4,))
    detectors = autoencoders.AnomalyDetector(), autoencoders.SeriesAnomalyDetector(window=2)
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    asked = [model.fit, model.evaluate, model.predict, model.encode, model.reconstruction_error]
    asked += [model.train_on_batch, model.test_on_batch, model.predict_on_batch, stacked.pretrain]
    for function in (*asked, *(detector.fit for detector in detectors)):
        with pytest.raises(RuntimeError, match=r"needs Keras.s TensorFlow backend, but .* on jax"):
            function(x)
