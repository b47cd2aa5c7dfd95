"""The README's Python runs, in order; its table says what the cards say; links lead somewhere."""

import json
import re
from pathlib import Path
from urllib.parse import unquote

import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import registry
from tests.test_package import FLOORS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def run(page):
    """Run a page's Python in order; what it names, as a dict."""
    names = {"__name__": "page"}  # which classes and functions note as their module
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(snippet, names)
    return names


def test_the_readme_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = run(README)
    assert names["codes"].shape == (360, 2)
    assert names["a_to_b"].shape == (9, 8, 8, 1)
    assert (names["flags"][95:] == -1).all()
    assert names["why"].shape == (100, 20)


def test_the_guide_to_the_models_runs():
    guide = (ROOT / "docs" / "models.md").read_text(encoding="utf-8")
    names = run(guide)
    assert names["threes"].shape == names["digits"][:5].shape
    assert names["drawn"].shape == (25, 20, 2)
    assert names["wiggled"].shape == (4, 1, 8, 8, 1)
    named = {
        name
        for pattern in re.findall(r"`([a-z_0-9]+(?:_\*)?)`", guide)
        for name in autoencoders.list_models(pattern)
    }
    assert named == set(autoencoders.list_models())


def test_the_guide_to_anomaly_detection_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / "docs" / "anomaly.md").read_text(encoding="utf-8")
    names = run(guide)
    assert (names["flags"][-20:] == -1).mean() > 0.5
    assert names["maps"].shape == (3, 8, 8, 1)
    assert any(start < 1530 and end > 1500 for start, end, _ in names["alarms"])
    np.testing.assert_array_equal(
        names["scores"], names["series_detector"].score_samples(names["later"])
    )


def test_the_guide_to_metrics_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    guide = (ROOT / "docs" / "metrics.md").read_text(encoding="utf-8")
    names = run(guide)
    table = re.findall(r"^\| (`.*`) \|.*\| `(\w+)` \|$", guide, re.MULTILINE)
    assert {name for row, _ in table for name in re.findall(r"`(\w+)`", row)} == set(
        names["scores"]
    )
    assert all(0.0 <= score <= 1.0 for score in names["scores"].values())
    assert names["information"].shape == (6, 5)
    assert names["bound"].mean < names["estimate"].mean < 0
    assert names["figures"]["frechet_distance"] > names["others"]["frechet_distance"]


@pytest.fixture
def forget_what_a_page_registers():
    known = keras.saving.get_custom_objects()
    tables = (known, registry._user_cards)
    before = [set(table) for table in tables]
    yield
    for name in set(registry._user_cards) - before[1]:
        del registry._builders[name]
    for table, names in zip(tables, before, strict=True):
        for name in set(table) - names:
            del table[name]


@pytest.mark.usefixtures("forget_what_a_page_registers")
def test_the_guide_to_adding_a_model_runs():
    guide = (ROOT / "docs" / "adding_a_model.md").read_text(encoding="utf-8")
    names = run(guide)
    for name in [name for name in names if name.startswith("test_")]:
        names[name]()
    assert names["sharp"].reconstruction_terms == ("reconstruction_loss", "edge_loss")
    assert names["model"].alpha == 0.0
    assert {"reconstruction_loss", "kl_loss", "renyi_loss"} < set(names["history"])
    (text,) = re.findall(r"```json\n(.*?)```", guide, re.DOTALL)
    card = json.loads(text)
    cards = registry.cards()
    made_of = (card["builder"], card["network"])
    like = next(n for n in cards if (cards[n]["builder"], cards[n]["network"]) == made_of)
    assert set(card) == set(cards[like])
    assert set(card["kwargs"]) == set(cards[like]["kwargs"])
    model = registry.builder(like)(**card["kwargs"])
    assert "dip_loss" in model.reconstruction_terms


def test_the_readmes_table_is_that_of_the_cards():
    rows = dict(re.findall(r"^\| `(\w+)` \|(.*)\|$", README, re.MULTILINE))
    assert sorted(rows) == autoencoders.list_models()
    for name, row in rows.items():
        card = autoencoders.info(name)
        family, tags, figure = (cell.strip() for cell in row.split("|"))
        assert family == card["family"]
        assert re.findall(r"`(\w+)`", tags) == sorted(card["weights"])
        if "mnist" in card["weights"]:
            figures = card["weights"]["mnist"]["figures"]
            key = "loss" if "nats" in figure else "squared_error"
            assert float(figure.split()[0]) == pytest.approx(figures[key], abs=0.05)


@pytest.mark.parametrize("path", PAGES, ids=str)
def test_links_lead_somewhere(path):
    for target in re.findall(r"\]\(([^)]+)", path.read_text(encoding="utf-8")):
        if target.startswith("http"):
            continue
        file, _, anchor = target.partition("#")
        page = path.parent / file if file else path
        assert page.exists(), target
        assert not anchor or unquote(anchor) in _anchors(page), target


def _anchors(page):
    """What GitHub makes of a page's headings: lower case, hyphens, no punctuation."""
    text = re.sub(r"```.*?```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL)
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_the_page_on_architecture_has_the_floors_that_imports_are_held_to():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    section = page.partition("\n## The floors\n")[2].partition("\n## ")[0]
    floors = [set(line.split(", ")) for line in re.findall(r"^ {4}(.*)$", section, re.MULTILINE)]
    assert floors[::-1] == FLOORS


def test_the_readme_links_every_page():
    for path in ROOT.glob("docs/*.md"):
        assert f"(docs/{path.name})" in README, path
