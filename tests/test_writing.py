"""Files are written whole or not at all."""

import errno
import os
import signal
import stat
import subprocess
import sys
import textwrap
import time
from contextlib import suppress
from pathlib import Path

import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import callbacks, files
from autoencoders.files import writing
from autoencoders.metrics import features
from autoencoders.zoo import weights

ROOT = Path(__file__).parent.parent


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
    "ensemble.save": ("e.keras", lambda path, model, detector: detector.model_.save(path)),
    "JSON": ("card.json", lambda path, model, detector: files.write_json(path, {"a": 1})),
}
# The same writer does it for all.
FAULTY = ["model.save", "model.save_weights", "JSON"]


def written(name, folder, model, detector):
    file, write = WRITERS[name]
    write(folder / file, model, detector)
    return folder / file


@pytest.mark.parametrize("name", WRITERS)
def test_every_writer_goes_by_the_one_that_replaces_whole_files(
    name, tmp_path, small_model, small_detector
):
    """What fails as it is written out leaves the old file and nothing else."""
    path = tmp_path / WRITERS[name][0]
    path.write_bytes(b"old")
    with Fault(tmp_path, at="os.replace") as fault, pytest.raises(OSError, match="injected"):
        written(name, tmp_path, small_model, small_detector)
    assert fault.calls.count("os.replace") == 1
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == [path.name]
    assert written(name, tmp_path, small_model, small_detector).read_bytes() != b"old"
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
    name, tmp_path, small_model, small_detector
):
    path = written(name, tmp_path, small_model, small_detector)
    old, failed, number = b"old", 0, 0  # How often it failed, and at which call.
    while True:
        number += 1
        path.write_bytes(old)
        with Fault(tmp_path, at=number) as fault, suppress(OSError):
            written(name, tmp_path, small_model, small_detector)
            failed -= 1
        failed += 1
        if number > len(fault.calls):
            break
        now = path.read_bytes()
        assert now == old or (path.suffix == ".json" or files.read(path)), fault.calls[-1]
        written(name, tmp_path, small_model, small_detector)
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


@pytest.mark.skipif(os.geteuid() != 0, reason="nobody else may give files away")
def test_the_owner_is_kept(tmp_path):
    files.write(tmp_path / "a", b"old")
    os.chown(tmp_path / "a", 1234, 1235)
    files.write(tmp_path / "a", b"new")
    found = (tmp_path / "a").stat()
    assert (found.st_uid, found.st_gid) == (1234, 1235)


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


def test_a_limit_on_the_size_of_files_keeps_the_old_one(tmp_path):
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


def test_keras_asks_before_it_overwrites(tmp_path, small_model, monkeypatch):
    path = tmp_path / "m.keras"
    path.write_bytes(b"old")
    monkeypatch.setattr("builtins.input", lambda question="": "n")
    small_model.save(path, overwrite=False)
    assert path.read_bytes() == b"old"
    monkeypatch.setattr("builtins.input", lambda question="": "y")
    small_model.save(path, overwrite=False)
    assert autoencoders.load(path).trained
    with pytest.raises(ValueError, match=r"must end in `\.weights\.h5`|end in"):
        small_model.save_weights(tmp_path / "m.h5")
    assert os.listdir(tmp_path) == ["m.keras"]


def test_what_keras_writes_as_many_files_comes_back(tmp_path, small_model):
    small_model.save(tmp_path / "folder", zipped=False)
    small_model.save_weights(tmp_path / "m.weights.json", max_shard_size=0.001)
    x = np.random.default_rng(0).normal(size=(3, 6)).astype("float32")
    loaded = autoencoders.load(tmp_path / "folder")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), small_model.predict(x, verbose=0))
    loaded.set_weights([np.zeros_like(weight) for weight in loaded.get_weights()])
    loaded.load_weights(tmp_path / "m.weights.json")
    np.testing.assert_array_equal(loaded.predict(x, verbose=0), small_model.predict(x, verbose=0))


def test_features_and_cards_are_written_whole(tmp_path):
    classifier = features.load(features.folder() / "digits.json")
    card = features.cards()["digits"]
    own = {key: card[key] for key in ("recipe", "dataset") if key in card}
    features.save(classifier, tmp_path / "mine.json", own)
    assert sorted(os.listdir(tmp_path)) == ["mine.json", "mine.npz"]
    again = features.load(tmp_path / "mine.json")
    for ours, theirs in zip(again.get_weights(), classifier.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
