"""Files are written whole or not at all, and what is damaged or hostile is found out."""

import errno
import io
import json
import os
import shutil
import signal
import stat
import subprocess
import sys
import textwrap
import time
import zipfile
from contextlib import suppress
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import callbacks, files, registry
from autoencoders.files import seal, writing
from autoencoders.metrics import features
from autoencoders.zoo import weights

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def model():
    model = autoencoders.get("ae_mlp", input_shape=(6,), hidden_units=(7,), latent_dim=2)
    model.fit(np.ones((8, 6), "float32"), verbose=0)
    return model


@pytest.fixture(scope="module")
def saved(model, tmp_path_factory):
    """A saved model and its weights, as bytes by suffix."""
    folder = tmp_path_factory.mktemp("saved")
    model.save(folder / "m.keras")
    model.save_weights(folder / "m.weights.h5")
    return {suffix: (folder / f"m{suffix}").read_bytes() for suffix in (".keras", ".weights.h5")}


@pytest.fixture(scope="module")
def detector():
    rows = np.random.default_rng(0).normal(size=(60, 4))
    arguments = {"model_params": {"hidden_units": (4,)}, "noise_levels": (1.0,)}
    return autoencoders.AnomalyDetector(epochs=1, random_state=0, **arguments).fit(rows)


# Writing ------------------------------------------------------------------------------------------


def _checkpoint(kind, **arguments):
    def write(path, model, detector):
        callback = kind(path, **arguments)
        callback.set_model(model)
        callback.on_train_begin()
        callback.on_epoch_end(0, {})

    return write


def _backup(path, model, detector):
    callback = callbacks.Backup(path)
    callback.set_model(model)
    callback.on_epoch_end(0, {})


WRITERS = {
    "model.save": ("m.keras", lambda path, model, detector: model.save(path)),
    "model.save_weights": ("m.weights.h5", lambda path, model, detector: model.save_weights(path)),
    "ModelCheckpoint": ("m.keras", _checkpoint(keras.callbacks.ModelCheckpoint)),
    "ModelCheckpoint of weights": (
        "m.weights.h5",
        _checkpoint(keras.callbacks.ModelCheckpoint, save_weights_only=True),
    ),
    "Backup": ("m.weights.h5", _backup),
    "weights.save": (
        "m.weights.h5",
        lambda path, model, detector: weights.save(model, path, "ae_mlp", {}, half=True),
    ),
    "detector.save": ("d.keras", lambda path, model, detector: detector.save(path)),
    "JSON": ("card.json", lambda path, model, detector: files.write_json(path, {"a": 1})),
}
# The same writer does it for all.
FAULTY = ["model.save", "model.save_weights", "JSON"]


def written(name, folder, model, detector):
    file, write = WRITERS[name]
    write(folder / file, model, detector)
    return folder / file


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_goes_by_the_one_that_replaces_whole_files(name, tmp_path, model, detector):
    """What fails as it is written out leaves the old file and nothing else."""
    path = tmp_path / WRITERS[name][0]
    path.write_bytes(b"old")
    with Fault(tmp_path, at="os.replace") as fault, pytest.raises(OSError, match="injected"):
        written(name, tmp_path, model, detector)
    assert fault.calls.count("os.replace") == 1
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]
    assert written(name, tmp_path, model, detector).read_bytes() != b"old"
    assert os.listdir(tmp_path) == [path.name]
    if path.suffix != ".json":
        assert files.read(path).name == str(path)


class Fault:
    """Lets a call of the writer to the system fail: the one of this name, or of this number."""

    def __init__(self, folder, at, error=errno.EIO):
        self.folder, self.at, self.error = folder, at, error
        self.calls = []

    def __enter__(self):
        self.patch = pytest.MonkeyPatch()
        self.patch.setattr(writing, "os", self.watched(os, "os"))
        self.patch.setattr(writing, "fcntl", self.watched(writing.fcntl, "fcntl"))
        self.patch.setattr(writing, "open", self.open, raising=False)
        return self

    def __exit__(self, *error):
        self.patch.undo()

    def watched(self, module, prefix):
        fault = self

        class Watched:
            def __getattr__(self, name):
                value = getattr(module, name)
                watched = callable(value) and not isinstance(value, type)
                return fault.call(f"{prefix}.{name}", value) if watched else value

        return Watched()

    def call(self, name, function):
        def called(*args, **kwargs):
            self.calls.append(name)
            if self.at in (name, len(self.calls)):
                raise OSError(self.error, "injected")
            return function(*args, **kwargs)

        return called

    def open(self, path, mode):
        file = self.call("open", open)(path, mode)
        fault = self

        class Watched:
            def __enter__(self):
                return self

            def __exit__(self, *error):
                file.close()

            def __getattr__(self, name):
                value = getattr(file, name)
                return fault.call(name, value) if name in ("write", "flush") else value

        return Watched()


@pytest.mark.parametrize("name", FAULTY)
def test_a_fault_at_any_call_to_the_system_leaves_the_old_file_or_the_new_one(
    name, tmp_path, model, detector
):
    path = written(name, tmp_path, model, detector)
    old, failed, number = b"old", 0, 0  # How often it failed, and at which call.
    while True:
        number += 1
        path.write_bytes(old)
        with Fault(tmp_path, at=number) as fault, suppress(OSError):
            written(name, tmp_path, model, detector)
            failed -= 1
        failed += 1
        if number > len(fault.calls):
            break
        now = path.read_bytes()
        assert now == old or (path.suffix == ".json" or files.read(path)), fault.calls[-1]
        written(name, tmp_path, model, detector)
        assert os.listdir(tmp_path) == [path.name], fault.calls[-1]
    assert {"open", "write", "flush", "os.fsync", "os.replace", "os.stat"} <= set(fault.calls)
    assert failed >= 8


def test_a_link_is_followed_and_the_mode_is_kept(tmp_path):
    real, link = tmp_path / "real" / "a.json", tmp_path / "link.json"
    files.write_json(real, 1)
    assert stat.S_IMODE(real.stat().st_mode) == 0o666 & ~_umask()
    real.chmod(0o640)
    link.symlink_to(real)
    files.write_json(link, 2)
    assert link.is_symlink()
    assert files.read_json(real) == 2
    assert stat.S_IMODE(real.stat().st_mode) == 0o640


def _umask():
    before = os.umask(0)
    os.umask(before)
    return before


def test_a_folder_or_a_pipe_is_not_replaced(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    for name in ("pipe", ""):
        with pytest.raises(OSError, match=r"pipe|directory"):
            files.write(tmp_path / name, b"")
    assert os.listdir(tmp_path) == ["pipe"]


def test_what_a_killed_writer_left_is_removed_and_nothing_else(tmp_path):
    path = tmp_path / ("n" * 255)  # the longest name that there may be
    files.write(path, b"old")
    begin = writing._begin(path)
    dead, alive = tmp_path / f"{begin}{'0' * 16}", tmp_path / f"{begin}{'1' * 16}"
    others = [tmp_path / f"{begin}mine", tmp_path / f"new.{path.name[4:]}", tmp_path / ".other"]
    for each in (dead, alive, *others):
        each.write_bytes(b"")
    with open(alive, "rb") as file:
        assert writing._locked(file, wait=False)
        files.write(path, b"new")
    assert not dead.exists()
    assert all(each.exists() for each in (alive, *others))


def test_two_processes_may_write_one_path_while_others_read(tmp_path):
    """Each read sees one of the two files, whole."""
    code = f"""
        from autoencoders import files
        import sys, time
        end = time.time() + 3
        while time.time() < end:
            files.write({str(tmp_path / "both")!r}, bytes([int(sys.argv[1])]) * 300_000)
    """
    command = [sys.executable, "-c", textwrap.dedent(code)]
    files.write(tmp_path / "both", b"1" * 300_000)
    writers = [subprocess.Popen([*command, digit], cwd=ROOT) for digit in "12"]
    reads, seen = 0, set()
    while any(writer.poll() is None for writer in writers):
        data = (tmp_path / "both").read_bytes()
        assert len(data) == 300_000
        assert len(set(data)) == 1
        seen.add(data[0])
        reads += 1
    assert [writer.returncode for writer in writers] == [0, 0]
    assert {1, 2} <= seen
    assert reads > 200
    assert os.listdir(tmp_path) == ["both"]


def kills(folder, count, size):
    """Kill a process that writes files; return how often it was in the middle of a write."""
    path = folder / "killed"
    code = f"""
        import sys
        from autoencoders.files import writing
        number = 0
        while True:
            number = (number + 1) % 256
            print("begin", flush=True)
            writing.write({str(path)!r}, bytes([number]) * {size})
            print("end", flush=True)
    """
    within, generator = 0, np.random.default_rng(0)
    for _ in range(count):
        command = [sys.executable, "-c", textwrap.dedent(code)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
            process.stdout.readline()
            process.stdout.readline()  # One file is there.
            time.sleep(generator.uniform(0, 0.05))
            process.send_signal(signal.SIGKILL)
            words = process.stdout.read().split()
        within += words[-1:] != [b"end"] if words else 1
        data = path.read_bytes()
        assert len(data) == size
        assert len(set(data)) == 1
    files.write(path, b"whole")
    assert os.listdir(folder) == ["killed"]
    return within


def test_a_killed_process_leaves_a_whole_file(tmp_path):
    assert kills(tmp_path, 5, 3_000_000) >= 2


@pytest.mark.thorough
def test_a_hundred_killed_processes_leave_whole_files(tmp_path):
    assert kills(tmp_path, 100, 3_000_000) >= 30


def test_a_limit_on_the_size_of_files_keeps_the_old_one(tmp_path, model):
    """As a full disk does; HDF5 ends a process that writes to one."""
    path = tmp_path / "m.weights.h5"
    path.write_bytes(b"old")
    code = f"""
        import resource, signal
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        from autoencoders import files
        resource.setrlimit(resource.RLIMIT_FSIZE, (50_000, 50_000))
        try:
            files.write({str(path)!r}, bytes(100_000))
        except OSError as error:
            print(error)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code)], capture_output=True, text=True, cwd=ROOT
    )
    assert "File too large" in done.stdout
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]


def test_keras_asks_before_it_overwrites(tmp_path, model, monkeypatch):
    path = tmp_path / "m.keras"
    path.write_bytes(b"old")
    monkeypatch.setattr("builtins.input", lambda question="": "n")
    model.save(path, overwrite=False)
    assert path.read_bytes() == b"old"
    monkeypatch.setattr("builtins.input", lambda question="": "y")
    model.save(path, overwrite=False)
    assert autoencoders.load(path).trained
    with pytest.raises(ValueError, match=r"must end in `\.weights\.h5`|end in"):
        model.save_weights(tmp_path / "m.h5")
    assert os.listdir(tmp_path) == ["m.keras"]


def test_what_keras_writes_as_many_files_comes_back(tmp_path, model):
    model.save(tmp_path / "folder", zipped=False)
    model.save_weights(tmp_path / "m.weights.json", max_shard_size=0.001)
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    loaded = autoencoders.load(tmp_path / "folder")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))
    loaded.set_weights([np.zeros_like(weight) for weight in loaded.get_weights()])
    loaded.load_weights(tmp_path / "m.weights.json")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), model.predict(x, verbose=0))


# Reading ------------------------------------------------------------------------------------------


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


def damaged_files(saved, folder, count):
    """How many damaged files load, and what is in those that do."""
    generator = np.random.default_rng(0)
    x = generator.normal(size=(3, 6)).astype("float32")
    for number in range(count):
        suffix = list(saved)[number % 2]
        path = folder / f"damaged{suffix}"
        spoilt = damage(saved[suffix], generator)
        if spoilt == saved[suffix]:
            continue
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match="is damaged"):
            _load(path, x)


def _load(path, x):
    if path.suffix == ".keras":
        return autoencoders.load(path).predict(x, verbose=0)
    small = {"input_shape": (6,), "hidden_units": (7,), "latent_dim": 2}
    return autoencoders.get("ae_mlp", weights=path, **small).predict(x, verbose=0)


def test_damage_is_found(saved, tmp_path):
    damaged_files(saved, tmp_path, 100)


@pytest.mark.thorough
def test_damage_is_found_in_a_thousand_files(saved, tmp_path):
    damaged_files(saved, tmp_path, 1000)


def test_load_weights_finds_damage_and_changes_nothing(saved, tmp_path, model):
    before = model.get_weights()
    for suffix, data in saved.items():
        path = tmp_path / f"m{suffix}"
        spoilt = bytearray(data)
        spoilt[len(spoilt) // 2] ^= 1
        path.write_bytes(spoilt)
        with pytest.raises(ValueError, match="is damaged"):
            model.load_weights(path)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    with pytest.raises(FileNotFoundError):
        model.load_weights(tmp_path / "none.weights.h5")


def test_files_without_a_seal_load_and_archives_have_checksums_of_their_own(saved, tmp_path, model):
    """As Keras and earlier versions write them."""
    path = tmp_path / "m.keras"
    with open(path, "wb") as file:
        keras.src.saving.saving_lib.save_model(model, file)
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    np.testing.assert_array_equal(
        autoencoders.load(path).predict(x, verbose=0), model.predict(x, verbose=0)
    )
    data = bytearray(path.read_bytes())
    kernel = data.find(model.get_weights()[0][3].tobytes())
    data[kernel + 3] ^= 8
    path.write_bytes(data)
    with pytest.raises(ValueError, match=r"damaged: the checksum of 'model\.weights\.h5'"):
        autoencoders.load(path)


def test_other_programs_read_what_is_sealed(saved, tmp_path, model):
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


def test_a_newer_format_is_told_from_damage(tmp_path, model, monkeypatch):
    monkeypatch.setattr(seal, "FORMAT", 2)
    model.save(tmp_path / "m.keras")
    model.save_weights(tmp_path / "m.weights.h5")
    monkeypatch.undo()
    for read in (autoencoders.load, model.load_weights):
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


def test_load_takes_every_address(tmp_path, model, saved):
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


def test_features_and_cards_are_written_whole(tmp_path):
    classifier = features.load(features.folder() / "digits.json")
    card = features.cards()["digits"]
    own = {key: card[key] for key in ("recipe", "dataset") if key in card}
    features.save(classifier, tmp_path / "mine.json", own)
    assert sorted(os.listdir(tmp_path)) == ["mine.json", "mine.npz"]
    again = features.load(tmp_path / "mine.json")
    for ours, theirs in zip(again.get_weights(), classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert json.loads((tmp_path / "mine.json").read_text())["file"] == "mine.npz"
    assert np.load(io.BytesIO((tmp_path / "mine.npz").read_bytes())).files


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


def test_a_small_file_takes_little_memory(tmp_path, saved, detector):
    """Arrays of which nothing is stored, and layers of gigabytes."""
    path = tmp_path / "m.keras"

    def asks_for_much(config):
        config["config"]["encoder"]["config"]["layers"][2]["config"]["units"] = 10**9

    path.write_bytes(saved[".keras"])
    _with_config(path, asks_for_much)
    with pytest.raises(ValueError, match=r"asks for weights of shape .* more than the file holds"):
        autoencoders.load(path)

    detector.save(path)
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


def test_nan_in_a_file_is_refused_unless_it_is_allowed(tmp_path, detector):
    model = autoencoders.get("ae_mlp", input_shape=(6,), hidden_units=(7,), latent_dim=2)
    kernel, *others = model.get_weights()
    kernel[0, 0] = np.nan
    model.set_weights([kernel, *others])
    model.save(tmp_path / "m.keras")
    for read in (autoencoders.load, lambda path: autoencoders.get("ae_mlp", weights=path)):
        with pytest.raises(ValueError, match=r"holds NaN.*allow_nan=True"):
            read(tmp_path / "m.keras")
    loaded = autoencoders.load(tmp_path / "m.keras", allow_nan=True)
    assert np.isnan(loaded.get_weights()[0][0, 0])

    detector.save(tmp_path / "d.keras")
    assert autoencoders.load(tmp_path / "d.keras").offset_ == detector.offset_
    broken = autoencoders.load(tmp_path / "d.keras")
    broken.offset_ = np.nan
    broken.save(tmp_path / "d.keras")
    with pytest.raises(ValueError, match=r"holds NaN.*allow_nan=True"):
        autoencoders.load(tmp_path / "d.keras")
    assert np.isnan(autoencoders.load(tmp_path / "d.keras", allow_nan=True).offset_)
