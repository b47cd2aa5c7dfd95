"""`autoencoders draw`, and the gallery that is made with it."""

import re
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

import autoencoders
from autoencoders import cli, recipes
from autoencoders.cli import draw
from autoencoders.zoo import sources

GALLERY = Path(__file__).parent.parent / "docs" / "gallery.md"


@pytest.mark.parametrize(
    ("name", "pictures"),
    [
        ("vae_mlp", {"reconstructions", "latent", "interpolation", "manifold", "samples"}),
        ("ae_gru", {"reconstructions", "latent", "interpolation", "samples"}),
    ],
)
def test_draw_writes_every_picture_of_a_model(name, pictures, tmp_path):
    arguments = ["draw", name, "--weights", "digits", "--folder", str(tmp_path)]
    done = CliRunner().invoke(cli.app, arguments, catch_exceptions=False)
    assert done.exit_code == 0
    files = {path.name: path for path in tmp_path.iterdir()}
    assert set(files) == {f"{name}.digits.{picture}.png" for picture in pictures}
    assert all(file in done.stdout for file in files)
    for path in files.values():
        with Image.open(path) as image:
            assert image.width <= 1000
            assert image.text["weights"] == sources.entry(name, "digits")["sha256"]
            assert min(low for low, _ in image.convert("RGB").getextrema()) < 50  # not blank


def test_the_plane_of_codes_is_drawn_of_images_only():
    (x, y), _ = autoencoders.datasets.digits()
    x = x[:200].reshape(-1, 8, 8)
    y = y[:200]
    model = autoencoders.get("vae_lstm", input_shape=(8, 8), latent_dim=2, units=(8,))
    pictures = draw._pictures(
        model, recipes.Data(x, y, x, y), sources.entry("vae_lstm", "digits"), "digits"
    )
    assert [name for name, _, _ in pictures] == [
        *("reconstructions", "latent", "interpolation", "samples"),
    ]


def test_the_gallery_shows_every_family_by_the_weights_of_the_cards():
    linked = re.findall(r"\((gallery/[^)]+)\)", GALLERY.read_text(encoding="utf-8"))
    pictures = [GALLERY.parent / link for link in linked]
    assert sorted(pictures) == sorted((GALLERY.parent / "gallery").iterdir())
    drawn = set()
    for path in pictures:
        name, tag, _, _ = path.name.split(".")
        drawn.add(name)
        with Image.open(path) as image:
            assert image.text["weights"] == sources.entry(name, tag)["sha256"], (
                f"{path.name} is of other weights: run `make gallery`"
            )
            assert image.width <= 1000
        assert path.stat().st_size <= 60_000
    assert sum(path.stat().st_size for path in pictures) <= 1_500_000
    families = {autoencoders.info(name)["family"] for name in autoencoders.list_models()}
    assert {autoencoders.info(name)["family"] for name in drawn} == families
