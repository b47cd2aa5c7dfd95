"""What is damaged, hostile or of a newer version is found out before it is read."""

import io
import json
import os
import random
import resource
import shutil
import subprocess
import warnings
import zipfile

import h5py
import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import registry
from autoencoders.files import seal


@pytest.fixture(scope="module")
def saved(small_model, tmp_path_factory):
    """A saved model and its weights, as bytes by suffix."""
    folder = tmp_path_factory.mktemp("saved")
    small_model.save(folder / "m.keras")
    small_model.save_weights(folder / "m.weights.h5")
    return {suffix: (folder / f"m{suffix}").read_bytes() for suffix in (".keras", ".weights.h5")}


def damage(data, generator):
    """Bytes as a bad disk or a broken connection gives them."""
    data = bytearray(data)
    kind = generator.integers(4)
    place = int(generator.integers(len(data)))
    if kind == 0:
        data[place] ^= 1 << int(generator.integers(8))
    elif kind == 1:
        del data[place:]
    elif kind == 2:
        end = place + int(generator.integers(1, 4096))
        data[place:end] = bytes(len(data[place:end]))
    else:
        del data[place : place + int(generator.integers(1, 64))]
    return bytes(data)


def assert_damage_is_found(saved, folder, count):
    """Damage so many files, each in a way of its own: every one is refused as that."""
    generator = np.random.default_rng(0)
    for number in range(count):
        suffix = list(saved)[number % 2]
        path = folder / f"damaged{suffix}"
        spoilt = damage(saved[suffix], generator)
        if spoilt == saved[suffix]:
            continue
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match="is damaged"):
            _load(path)


def _load(path):
    if path.suffix == ".keras":
        return autoencoders.load(path)
    small = {"input_shape": (6,), "hidden_units": (7,), "latent_dim": 2}
    return autoencoders.get("ae_mlp", weights=path, **small)


def test_damage_is_found(saved, tmp_path):
    assert_damage_is_found(saved, tmp_path, 100)


@pytest.mark.thorough
def test_damage_is_found_in_a_thousand_files(saved, tmp_path):
    assert_damage_is_found(saved, tmp_path, 1000)


def test_load_weights_finds_damage_and_changes_nothing(saved, tmp_path, small_model):
    before = small_model.get_weights()
    for suffix, data in saved.items():
        path = tmp_path / f"m{suffix}"
        spoilt = bytearray(data)
        spoilt[len(spoilt) // 2] ^= 1
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match="is damaged"):
            small_model.load_weights(path)
    for old, new in zip(before, small_model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(FileNotFoundError):
        small_model.load_weights(tmp_path / "none.weights.h5")


def test_files_without_a_seal_load_and_archives_have_checksums_of_their_own(
    saved, tmp_path, small_model
):
    """As Keras and earlier versions write them."""
    path = tmp_path / "m.keras"
    with open(path, "wb") as file:
        keras.src.saving.saving_lib.save_model(small_model, file)
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    np.testing.assert_array_equal(
        autoencoders.load(path).predict(x, verbose=0), small_model.predict(x, verbose=0)
    )
    data = bytearray(path.read_bytes())
    kernel = data.find(small_model.get_weights()[0][3].tobytes())
    data[kernel + 3] ^= 8
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"damaged: the checksum of 'model\.weights\.h5'"):
        autoencoders.load(path)


def test_other_programs_read_what_is_sealed(saved, tmp_path):
    for suffix, data in saved.items():
        (tmp_path / f"m{suffix}").write_bytes(data)
        assert data.endswith(b"\n")
        assert b"autoencoders format 0001 sha256 " in data[-120:]
    loaded = keras.saving.load_model(tmp_path / "m.keras")
    keras.Model.load_weights(loaded, tmp_path / "m.weights.h5")
    with zipfile.ZipFile(tmp_path / "m.keras") as archive:
        assert archive.testzip() is None
    if unzip := shutil.which("unzip"):
        subprocess.run([unzip, "-tq", tmp_path / "m.keras"], check=True, capture_output=True)
    with h5py.File(tmp_path / "m.weights.h5", "a") as file:
        file.attrs["mine"] = 1
    with pytest.raises(ValueError, match="damaged"):
        loaded.load_weights(tmp_path / "m.weights.h5")


def test_a_newer_format_is_told_from_damage(tmp_path, small_model, monkeypatch):
    monkeypatch.setattr(seal, "FORMAT", 2)
    small_model.save(tmp_path / "m.keras")
    small_model.save_weights(tmp_path / "m.weights.h5")
    monkeypatch.undo()
    for read in (autoencoders.load, small_model.load_weights):
        with pytest.raises(ValueError, match=r"written by a newer version.* in format 2"):
            read(tmp_path / "m.keras")
    with pytest.raises(ValueError, match="written by a newer version"):
        autoencoders.get("ae_mlp", weights=tmp_path / "m.weights.h5", input_shape=(6,))


def _archive(path, **entries):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in entries.items():
            archive.writestr(name.replace("_", ".", 1), content)
    return path


def _code(path):
    layers = [keras.Input((3,)), keras.layers.Lambda(lambda x: 2 * x)]
    keras.Sequential(layers).save(path)


def _unknown_class(path):
    @keras.saving.register_keras_serializable("mine")
    class Mine(keras.layers.Layer):
        pass

    keras.Sequential([keras.Input((3,)), Mine()]).save(path)
    del keras.saving.get_custom_objects()["mine>Mine"]


BAD = {
    "no archive": (lambda path: path.write_bytes(b"hello"), "is damaged"),
    "another archive": (lambda path: _archive(path, x=""), "nothing in it is 'config.json'"),
    "deep JSON": (lambda path: _archive(path, config_json="[" * 100_000), "no JSON"),
    "no object": (lambda path: _archive(path, config_json="[]"), "describes no object"),
    "half an object": (
        lambda path: _archive(path, config_json='{"class_name": "A"}'),
        "no model that can be made|not known here",
    ),
    "code": (_code, "holds code, which is not run"),
    "an unknown class": (_unknown_class, "a class that is not known here"),
    "a bomb": (
        lambda path: _archive(path, config_json="{}", x=bytes(10**7)),
        "far larger than what it holds",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_has_one_kind_of_error(kind, tmp_path):
    write, message = BAD[kind]
    path = tmp_path / "bad.keras"
    write(path)
    for read in (autoencoders.load, lambda path: autoencoders.get("ae_mlp", weights=path)):
        with pytest.raises(ValueError, match=message) as error:
            read(path)
        assert str(path) in str(error.value)


@pytest.mark.parametrize(
    "value", ["[]", "hello", 5, '{"arguments": []}', '{"arguments": {"x": 1}}']
)
def test_what_a_file_of_weights_says_may_make_no_sense(value, tmp_path):
    bundled = registry.zoo_folder() / "weights" / "ae_mlp.digits.weights.h5"
    path = shutil.copy(bundled, tmp_path / "d.weights.h5")
    with h5py.File(path, "a") as file:
        file.attrs["autoencoders"] = value
    with pytest.raises(ValueError, match=r"makes no sense|of which no model can be made"):
        autoencoders.get("ae_mlp", weights=path)


def test_what_is_no_file_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "pipe.keras")
    os.mkfifo(tmp_path / "pipe.weights.h5")
    for name in ("pipe.keras", "pipe.weights.h5"):
        with pytest.raises(ValueError, match=r"saved model|weights alone|Unknown weights"):
            autoencoders.load(tmp_path / name)
        with pytest.raises(ValueError, match="Unknown weights"):
            autoencoders.get("ae_mlp", weights=tmp_path / name)


def test_load_takes_every_address(tmp_path, saved):
    (tmp_path / "whole").mkdir()
    with pytest.raises(ValueError, match="must hold one saved model"):
        autoencoders.load(tmp_path / "whole")
    (tmp_path / "whole" / "any.keras").write_bytes(saved[".keras"])
    (tmp_path / "whole" / "any.weights.h5").write_bytes(saved[".weights.h5"])
    assert autoencoders.load(tmp_path / "whole").trained
    with pytest.raises(ValueError, match=r"holds weights alone.*get\(name, weights="):
        autoencoders.load(tmp_path / "whole" / "any.weights.h5")
    with pytest.raises(ValueError, match="add their hash"):
        autoencoders.load("https://localhost/m.keras")
    with pytest.raises(FileNotFoundError, match="no saved model"):
        autoencoders.load(tmp_path / "none.keras")


def _with_config(path, change):
    """The same file, without a seal, with a config that was changed."""
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    config = json.loads(entries["config.json"])
    change(config)
    entries["config.json"] = json.dumps(config)
    with zipfile.ZipFile(path, "w") as new:
        for name, content in entries.items():
            new.writestr(name, content)


def test_a_small_file_takes_little_memory(tmp_path, saved, small_detector):
    """Arrays of which nothing is stored, and layers of gigabytes."""
    path = tmp_path / "m.keras"

    def asks_for_much(config):
        config["config"]["encoder"]["config"]["layers"][2]["config"]["units"] = 10**9

    path.write_bytes(saved[".keras"])
    _with_config(path, asks_for_much)
    with pytest.raises(ValueError, match=r"asks for weights of shape .* more than the file holds"):
        autoencoders.load(path)

    small_detector.save(path)
    with zipfile.ZipFile(path) as old:
        entries = {name: old.read(name) for name in old.namelist()}
    arrays = io.BytesIO(entries["model.weights.h5"])
    empty = {"dtype": "f4", "chunks": (1 << 20,), "compression": "gzip"}
    with h5py.File(arrays, "r+") as file:
        file["vars"].create_dataset("score_x", shape=(1 << 27,), **empty)
    entries["model.weights.h5"] = arrays.getvalue()
    with zipfile.ZipFile(path, "w") as new:
        for name, content in entries.items():
            new.writestr(name, content)
    with pytest.raises(ValueError, match="far larger than what it holds"):
        autoencoders.load(path)

    bundled = registry.zoo_folder() / "weights" / "ae_mlp.digits.weights.h5"
    path = shutil.copy(bundled, tmp_path / "d.weights.h5")
    with h5py.File(path, "a") as file:
        stored = json.loads(file.attrs["autoencoders"])
        stored["arguments"]["hidden_units"] = [10**9]
        file.attrs["autoencoders"] = json.dumps(stored)
    with pytest.raises(ValueError, match="more than the file holds"):
        autoencoders.get("ae_mlp", weights=path)


def test_nan_in_a_file_is_refused_unless_it_is_allowed(tmp_path, small_detector):
    model = autoencoders.get("ae_mlp", input_shape=(6,), hidden_units=(7,), latent_dim=2)
    kernel, *others = model.get_weights()
    kernel[0, 0] = np.nan
    model.set_weights([kernel, *others])
    model.save(tmp_path / "m.keras")
    for read in (autoencoders.load, lambda path: autoencoders.get("ae_mlp", weights=path)):
        with pytest.raises(ValueError, match=r"holds NaN.*allow_nan=True"):
            read(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(ValueError, match=r"holds NaN.*load_weights"):
        _load(tmp_path / "m.weights.h5")
    loaded = autoencoders.load(tmp_path / "m.keras", allow_nan=True)
    assert np.isnan(loaded.get_weights()[0][0, 0])

    small_detector.save(tmp_path / "d.keras")
    assert autoencoders.load(tmp_path / "d.keras").offset_ == small_detector.offset_
    broken = autoencoders.load(tmp_path / "d.keras")
    broken.offset_ = np.nan
    broken.save(tmp_path / "d.keras")
    with pytest.raises(ValueError, match=r"holds NaN.*allow_nan=True"):
        autoencoders.load(tmp_path / "d.keras")
    assert np.isnan(autoencoders.load(tmp_path / "d.keras", allow_nan=True).offset_)


# What a stranger may write into a config.
HOSTILE = [
    *(10**9, -1, 0, 2**63, 1e308, float("nan"), "a" * 10**5, [10**6] * 4, [], {}, None, True),
    {"module": "os", "class_name": "system", "config": {"command": "touch ran"}},
    {"module": "builtins", "class_name": "function", "config": "eval"},
    {"module": "subprocess", "class_name": "check_output", "config": {"args": ["touch", "ran"]}},
    {"module": "keras.layers", "class_name": "Lambda", "config": {"function": "touch ran"}},
    {"class_name": "__lambda__", "config": {"value": "YWJj"}},
    {"class_name": "__numpy__", "config": {"value": [1], "dtype": "O"}},
]


def _places(config, way=()):
    """The ways to all parts of a config."""
    items = config.items() if isinstance(config, dict) else enumerate(config)
    for key, part in items:
        yield (*way, key)
        if isinstance(part, (dict, list)):
            yield from _places(part, (*way, key))


def hostile_configs(contents, folder, count):
    """Load files with configs in which some parts were replaced; return how many were refused."""
    generator = random.Random(0)
    path, refused = folder / "hostile.keras", 0
    for number in range(count):
        path.write_bytes(contents[number % len(contents)])

        def change(config):
            for _ in range(generator.choice([1, 1, 2])):
                *way, last = generator.choice(list(_places(config)))
                part = config
                for key in way:
                    part = part[key]
                part[last] = generator.choice(HOSTILE)

        _with_config(path, change)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                autoencoders.load(path)
        except ValueError:
            refused += 1
        grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
        assert grown < 300 * 1024, f"{grown} kB more"
        assert not (folder / "ran").exists()
    return refused


@pytest.fixture(scope="module")
def contents(saved, small_detector, tmp_path_factory):
    """Files of a model with a bottleneck, of one of series, of a detector, and of a small one."""
    folder = tmp_path_factory.mktemp("contents")
    autoencoders.get("vq_vae_mlp", input_shape=(6,), hidden_units=(7,)).save(folder / "vq.keras")
    autoencoders.get("ae_lstm", input_shape=(4, 2), units=(3,)).save(folder / "lstm.keras")
    small_detector.save(folder / "detector.keras")
    return [saved[".keras"], *(path.read_bytes() for path in sorted(folder.iterdir()))]


def test_hostile_configs_run_nothing_and_take_little_memory(contents, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hostile_configs(contents, tmp_path, 24) >= 12


@pytest.mark.thorough
def test_five_hundred_hostile_configs(contents, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert hostile_configs(contents, tmp_path, 500) >= 300
