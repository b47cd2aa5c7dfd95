"""The command line, as a process where that is the point: what it prints and writes, how it fails.

Importing Keras takes a process longer than most of what it is to show; the other tests call `main`
in this one.
"""

import os
import re
import signal
import subprocess
import sys
import time

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import autoencoders
from autoencoders import cli
from autoencoders.training.fused import choice


def run(*arguments, cwd=None, check=True):
    command = [sys.executable, "-m", "autoencoders", *map(str, arguments)]
    environment = {**os.environ, "COLUMNS": "120"}
    environment.pop("TF_CPP_MIN_LOG_LEVEL", None)
    done = subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)
    if check:
        assert done.returncode == 0, done.stderr
    return done


def _in_this_process(*arguments):
    """For what needs no process of its own: TensorFlow takes long to start."""
    done = CliRunner().invoke(cli.app, [*map(str, arguments)])
    assert done.exit_code == 0, done.exception
    return done


def _failing(arguments, monkeypatch, capfd):
    """Exit code and standard error of a command line that fails in this process."""
    monkeypatch.setattr(sys, "argv", ["autoencoders", *arguments])
    with pytest.raises(SystemExit) as error:
        cli.main()
    return error.value.code, capfd.readouterr().err


def test_list_and_info():
    shown = run("list").stdout
    assert all(name in shown for name in autoencoders.list_models())
    assert "vae_mlp" not in _in_this_process("list", "ae_*").stdout
    card = _in_this_process("info", "vae_mlp").stdout
    assert "Kingma & Welling" in card
    assert "measured on the test set" in card


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["info", "vae_mpl"], "Did you mean 'vae_mlp'"),
        (["list", "zzz"], "No model matches 'zzz'"),
        (["train", "ae_mlp", "--data", "digitz", "--save", "a.keras"], "Did you mean 'digits'"),
        (["train", "ae_mlp", "--data", "digits"], "Say where the result goes"),
        (["train", "ae_mlp", "--data", "digits", "--save", "a.txt"], "takes a .keras or"),
        (
            ["train", "ae_mlp", "--data", "digits", "--save", "a.keras", "--set", "latent=3"],
            "Did you mean 'latent_dim'",
        ),
        (
            ["train", "ae_mlp", "--data", "digits", "--save", "a.keras", "--set", "hidden_units=a"],
            "`hidden_units` must be positive integers",
        ),
        (["train", "ae_mlp", "--data", "digits", "--save", __file__], "takes a .keras or"),
    ],
)
def test_a_mistake_is_one_line_and_a_non_zero_exit(
    arguments, message, tmp_path, monkeypatch, capfd
):
    monkeypatch.chdir(tmp_path)
    results = [_failing(arguments, monkeypatch, capfd)]
    # One mistake that is found at once, and one once TensorFlow has been imported.
    if arguments[0] == "info" or "latent=3" in arguments:
        done = run(*arguments, cwd=tmp_path, check=False)
        results.append((done.returncode, done.stderr))
    for code, shown in results:
        assert code == 1
        assert message in shown
        assert len(shown.strip().splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_train_saves_a_model_that_loads(tmp_path, monkeypatch, capfd):
    arguments = ["train", "ae_mlp", "--data", "digits", "--epochs", "2", "--set", "latent_dim=3"]
    done = run(*arguments, "--save", tmp_path / "new" / "my.keras")
    assert done.stderr == ""  # none of TensorFlow's start-up noise
    model = autoencoders.load(tmp_path / "new" / "my.keras")
    assert model.latent_shape == (3,)
    figure = float(re.search(r"squared_error +([\d.]+)", done.stdout)[1])
    _, (x, _) = autoencoders.datasets.digits()
    assert autoencoders.metrics.squared_error(model, x) == pytest.approx(figure, abs=1e-3)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["my.keras"]

    again = [*arguments, "--save", str(tmp_path / "new" / "my.keras")]
    assert "exists; --overwrite replaces it" in _failing(again, monkeypatch, capfd)[1]

    _in_this_process(*arguments, "--save", tmp_path / "my.weights.h5")
    again = autoencoders.get("ae_mlp", weights=tmp_path / "my.weights.h5")
    assert autoencoders.metrics.squared_error(again, x) == pytest.approx(figure, abs=1e-3)
    with h5py.File(tmp_path / "my.weights.h5") as file:
        assert "optimizer" not in file


@pytest.mark.parametrize("name", ["cvae_mlp", "semi_supervised_aae_mlp", "ae_gru"])
def test_train_gives_every_model_the_data_it_takes(name, tmp_path):
    """Labels to those that take some, an image's rows as time to those of series."""
    small = "units=[8]" if name == "ae_gru" else "hidden_units=[8]"
    arguments = ["train", name, "--data", "digits", "--epochs", "1", "--set", small]
    done = _in_this_process(*arguments, "--save", tmp_path / "my.keras")
    assert "squared_error" in done.stdout
    assert autoencoders.load(tmp_path / "my.keras").epochs_trained == 1


def test_an_interrupted_training_goes_on(tmp_path, monkeypatch):
    """The same command, after Ctrl-C, ends with the same weights as without it.

    XLA sets in on the way, as it would otherwise do only after hundreds of epochs of so small a
    network.
    """
    monkeypatch.setattr(choice, "_SHORT_EPOCHS", 0.05)
    chosen, choose = [], choice.choose
    monkeypatch.setattr(choice, "choose", lambda *a: chosen.append(choose(*a)) or chosen[-1])
    small = ["--epochs", "100", "--batch-size", "479", "--set", "hidden_units=[]"]
    arguments = ["train", "vae_mlp", "--data", "digits", *small, "--save"]
    _in_this_process(*arguments, tmp_path / "straight.weights.h5")
    assert 0 < chosen[0].xla_from < 90
    # As `python -m autoencoders`, but heeding Ctrl-C where the tests run in the background.
    code = (
        "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from autoencoders.training.fused import choice; choice._SHORT_EPOCHS = 0.05; "
        "runpy.run_module('autoencoders', run_name='__main__')"
    )
    command = [sys.executable, "-c", code, *arguments, tmp_path / "resumed.weights.h5"]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 60
    while not list(tmp_path.glob(".resumed*.partial.keras")) and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(signal.SIGINT)
    stdout, _ = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "The same command goes on" in stdout

    done = _in_this_process(*arguments, tmp_path / "resumed.weights.h5")
    assert "Going on after epoch" in done.stdout
    straight, resumed = (
        autoencoders.get("vae_mlp", weights=tmp_path / f"{which}.weights.h5").get_weights()
        for which in ("straight", "resumed")
    )
    for a, b in zip(straight, resumed, strict=True):
        np.testing.assert_array_equal(a, b)
    assert not list(tmp_path.glob(".*"))


def test_demo(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    done = _in_this_process("demo")
    assert done.stderr == ""
    assert capfd.readouterr().err == ""  # nor from beside Python
    auroc = float(re.search(r"AUROC of the anomaly scores: (\d\.\d+)", done.stdout)[1])
    assert auroc >= 0.9
    pictures = {path.stem for path in (tmp_path / "demo").glob("*.png")}
    assert pictures == {
        *("reconstructions", "latent", "manifold", "samples"),
        *("fine_tuning", "errors", "damaged"),
    }
    before, after = map(float, re.search(r"([\d.]+) before, ([\d.]+) after", done.stdout).groups())
    assert after < 0.1 * before
    assert "What next" in done.stdout
