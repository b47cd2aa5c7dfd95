"""The command line, mostly as a process: what it prints, what it writes, how it fails."""

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


def test_list_and_info():
    shown = run("list").stdout
    assert all(name in shown for name in autoencoders.list_models())
    assert "vae_mlp" not in run("list", "ae_*").stdout
    card = run("info", "vae_mlp").stdout
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
def test_a_mistake_is_one_line_and_a_non_zero_exit(arguments, message, tmp_path):
    done = run(*arguments, cwd=tmp_path, check=False)
    assert done.returncode == 1
    assert message in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1


def test_train_saves_a_model_that_loads(tmp_path):
    arguments = ["train", "ae_mlp", "--data", "digits", "--epochs", "2", "--set", "latent_dim=3"]
    done = run(*arguments, "--save", tmp_path / "new" / "my.keras")
    assert done.stderr == ""  # none of TensorFlow's start-up noise
    model = autoencoders.load(tmp_path / "new" / "my.keras")
    assert model.latent_shape == (3,)
    figure = float(re.search(r"squared_error +([\d.]+)", done.stdout)[1])
    _, (x, _) = autoencoders.datasets.digits()
    assert autoencoders.metrics.squared_error(model, x) == pytest.approx(figure, abs=1e-3)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["my.keras"]

    done = run(*arguments, "--save", tmp_path / "new" / "my.keras", check=False)
    assert "exists; --overwrite replaces it" in done.stderr

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


def test_an_interrupted_training_goes_on(tmp_path):
    """The same command, after Ctrl-C, ends with the same weights as without it.

    Enough epochs that XLA sets in on the way.
    """
    arguments = ["train", "vae_mlp", "--data", "digits", "--epochs", "200", "--save"]
    _in_this_process(*arguments, tmp_path / "straight.weights.h5")
    # As `python -m autoencoders`, but heeding Ctrl-C where the tests run in the background.
    heed = "import runpy, signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
    code = heed + "runpy.run_module('autoencoders', run_name='__main__')"
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


def test_demo(tmp_path):
    done = run("demo", cwd=tmp_path)
    assert done.stderr == ""
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
