"""The benchmarks of published figures: every row runs, and goes on where it was interrupted."""

import json
from unittest import mock

import numpy as np
import pytest
from matplotlib.axes import Axes

from autoencoders import datasets
from benchmarks.papers import ROWS
from benchmarks.papers.__main__ import draw_curves, main, print_table
from benchmarks.papers.runs import Run

QUICK = ("iwae", "k_sparse", "categorical_vae")  # the others take longer: make thorough

TINY = {
    "deep_autoencoder": {"epochs": 2, "pretraining": 1},
    "vae_likelihood": {"epochs": 2, "samples": 3},
    "iwae": {"epochs": 2, "samples": 3},
    "stacked_denoising": {"epochs": 1, "pretraining": 1, "units": 8, "sizes": (40, 20, 30)},
    "vq_vae": {"epochs": 1},
    "categorical_vae": {"epochs": 2, "samples": 3},
    "vae_400_20": {"epochs": 1, "seeds": 2},
    "sprites": {
        "epochs": 1,
        "images": 50,
        "hidden_units": (16,),
        "discriminator_units": (8,),
        "scores": {"rows": 100, "votes": 20, "evaluation_votes": 10},
    },
    "semi_supervised_aae": {
        "epochs": 1,
        "labels": (10, 20),
        "units": 20,
        "discriminator_units": 20,
    },
    "k_sparse": {"epochs": 2, "inference_k": 40, "units": 80, "iterations": 20},
    "contractive": {"epochs": 1, "pretraining": 1, "units": 8},
}


@pytest.fixture(autouse=True)
def _small_mnist(monkeypatch):
    """Noise in the shape of MNIST, with every class in it."""
    rng = np.random.default_rng(0)
    splits = tuple(
        (rng.random((rows, 28, 28, 1), dtype="float32"), np.arange(rows) % 10) for rows in (100, 40)
    )
    monkeypatch.setattr(datasets, "mnist", lambda: splits)


@pytest.mark.filterwarnings("ignore:Posterior collapse", "ignore:lbfgs failed to converge")
@pytest.mark.parametrize(
    "name",
    [pytest.param(name, marks=() if name in QUICK else pytest.mark.thorough) for name in ROWS],
)
def test_a_row_interrupted_after_each_epoch_gives_the_same_figures(name, tmp_path):
    settings = {**TINY[name], "batch_size": 50}
    whole = ROWS[name](Run(tmp_path / "whole", verbose=0), **settings)
    assert {result.published for result in whole} != {""}
    for _ in range(12):
        try:
            parts = ROWS[name](Run(tmp_path / "parts", limit=1e-9, verbose=0), **settings)
            break
        except TimeoutError:
            continue
    assert [result.ours for result in parts] == [result.ours for result in whole]


@pytest.mark.filterwarnings("ignore:lbfgs failed to converge")
def test_a_model_of_another_recipe_is_not_gone_on_with(tmp_path):
    settings = {**TINY["k_sparse"], "batch_size": 50}
    ROWS["k_sparse"](Run(tmp_path, verbose=0), **settings)
    for changes in ({"rate": 0.1}, {"units": 90}, {"k": 20}):
        with pytest.raises(ValueError, match="another recipe"):
            ROWS["k_sparse"](Run(tmp_path, verbose=0), **{**settings, **changes})


def test_the_table_has_the_newest_result_on_test_data(tmp_path, capsys):
    about = {"result": "VQ-VAE", "protocol": "p", "published": "1", "epochs": "1"}
    about |= {"seconds": 2.0, "rows": None}
    lines = [
        {"row": "vq_vae", "ours": ours, "held_out": held_out, "settings": settings, **about}
        for ours, held_out, settings in (
            *(("3.1", False, {}), ("4.1", False, {})),
            *(("5.1", True, {}), ("6.1", False, {"rate": 0.1})),
        )
    ]
    path = tmp_path / "results.jsonl"
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    print_table(path)
    shown = capsys.readouterr().out
    assert "4.1" in shown
    assert "3.1" not in shown
    assert "5.1" not in shown
    assert "6.1" not in shown


def test_unknown_rows_and_settings(monkeypatch, capsys):
    for arguments, message in (
        (["k_spars"], "no row 'k_spars'; there are deep_autoencoder"),
        (["k_sparse", "--set", "rates=0.1"], "k_sparse has no setting 'rates'; it has epochs"),
        (["k_sparse", "--set", "rate"], "'rate' is not NAME=VALUE"),
    ):
        monkeypatch.setattr("sys.argv", ["papers", *arguments])
        with pytest.raises(SystemExit):
            main()
        assert message in capsys.readouterr().err


def test_curves_are_of_the_losses_on_file(tmp_path, monkeypatch):
    plot = mock.Mock(side_effect=Axes.plot)
    monkeypatch.setattr(Axes, "plot", lambda *arguments, **options: plot(*arguments, **options))
    logs = [{"loss": 100.0 / epoch} for epoch in range(1, 41)]
    (tmp_path / "iwae.json").write_text(json.dumps({"logs": logs}))
    draw_curves(tmp_path, ["iwae"])
    _, epochs, losses = plot.call_args.args
    assert list(epochs) == list(range(3, 41))  # without the first twentieth
    assert losses == [100.0 / epoch for epoch in epochs]
    assert (tmp_path / "curves.png").stat().st_size > 1000
