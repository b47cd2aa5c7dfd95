"""From a card's recipe to its weights, and back: training, publishing, reproducing, verifying."""

import json
import shutil
import socket

import keras
import numpy as np
import pytest
from typer.testing import CliRunner

import autoencoders
from autoencoders import metrics, recipes, registry, zoo
from autoencoders.cli import app
from autoencoders.zoo import sources, weights

PUBLISHED = [(name, tag) for name, tags in autoencoders.list_weights().items() for tag in tags]
OF_EACH_FAMILY = {autoencoders.info(name)["family"]: name for name, tag in PUBLISHED}


@pytest.fixture
def own_zoo(tmp_path, monkeypatch):
    """A copy of the zoo to publish into."""
    folder = tmp_path / "zoo_configs"
    shutil.copytree(registry.zoo_folder(), folder, ignore=shutil.ignore_patterns(".*"))
    monkeypatch.setattr(registry, "zoo_folder", lambda: folder)
    registry._bundled_cards.cache_clear()
    monkeypatch.chdir(tmp_path)
    yield folder
    registry._bundled_cards.cache_clear()


def run(*arguments):
    """The command line in this process: exit code and output; errors are raised."""
    done = CliRunner().invoke(app, [str(argument) for argument in arguments])
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.output


def publish(*options):
    small = ["--epochs", 60, "--batch-size", 32, "--set", "hidden_units=[32]"]
    return run("train", "ae_mlp", "--data", "digits", *small, *options, "--publish")


# The gate --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "tag"), PUBLISHED)
def test_every_card_passes_the_gate(name, tag):
    entry = sources.entry(name, tag)
    assert recipes.passes(entry["figures"], recipes.Baseline(**entry["baseline"]))


def test_a_plain_autoencoder_is_far_better_than_pca():
    entry = sources.entry("ae_mlp", "mnist")
    assert entry["figures"]["squared_error"] < 0.5 * entry["baseline"]["squared_error"]


def test_the_rules_of_the_gate(digits):
    x, x_test = digits
    data = recipes.Data(x, None, x_test, None)

    def bar(name, **arguments):
        return recipes.baseline(
            autoencoders.get(name, input_shape=(8, 8, 1), **arguments), name, data
        )

    pca = bar("ae_mlp", latent_dim=5)
    assert pca.rule == "pca"
    assert pca.squared_error == pytest.approx(metrics.pca_squared_error(x, x_test, 5), rel=1e-5)
    assert recipes.passes({"squared_error": 0.99 * pca.squared_error}, pca)
    assert not recipes.passes({"squared_error": 1.01 * pca.squared_error}, pca)

    (_, y), (_, y_test) = autoencoders.datasets.digits()
    data = recipes.Data(x, y, x_test, y_test)
    given = bar("cvae_mlp", latent_dim=2)
    assert given.rule == "pca_given_labels"
    means = np.array([x[y == digit].mean(axis=0) for digit in range(10)])
    within_classes = metrics.pca_squared_error(x - means[y], x_test - means[y_test], 2)
    assert given.squared_error == pytest.approx(within_classes, rel=1e-5)

    linear = bar("ae_linear", latent_dim=5)
    assert linear.rule == "linear"
    assert recipes.passes({"squared_error": 1.004 * linear.squared_error}, linear)
    assert not recipes.passes({"squared_error": 1.006 * linear.squared_error}, linear)

    wide = bar("denoising_mlp", latent_dim=64)
    assert wide.rule == "mean_row"
    mean = np.square(x_test - x.mean(axis=0)).sum() / len(x_test)
    assert wide.squared_error == pytest.approx(mean, rel=1e-4)
    assert recipes.passes({"squared_error": 0.9 * mean}, wide)
    noisy = {"squared_error": 0.9 * mean, "noise": 1.0}
    assert recipes.passes({**noisy, "denoised_squared_error": 0.9}, wide)
    assert not recipes.passes({**noisy, "denoised_squared_error": 1.1}, wide)

    discrete = bar("dvae_mlp", latent_dim=3, num_codes=16)
    assert discrete.rule == "pca_at_equal_bits"
    expected = metrics.pca_squared_error_at(12, x, x_test)
    assert discrete.squared_error == pytest.approx(expected, rel=1e-5)


def test_quantised_components_have_the_error_of_the_best_quantisers():
    """Of a Gaussian: 0.3634 of the variance with one bit, 0.1175 with two (Max, 1960)."""
    x = np.random.default_rng(0).normal(size=(20_000, 3)) * np.sqrt([8.0, 2.0, 1.0])
    train, test = np.split(x, 2)
    for bits, expected in [
        (0, 11.0),
        (1, 8 * 0.3634 + 3),
        (2, 8 * 0.1175 + 3),
        (3, 8 * 0.1175 + 2 * 0.3634 + 1),
    ]:
        assert metrics.pca_squared_error_at(bits, train, test) == pytest.approx(expected, rel=0.03)


def test_what_quantisers_leave_out():
    """More bits than rows tell apart; and rows outside the components' span."""
    rng = np.random.default_rng(0)
    train, test = rng.normal(size=(40, 3)), rng.normal(size=(40, 3))
    fine = metrics.pca_squared_error_at(100, train, train)
    assert fine == pytest.approx(0.0, abs=0.01)
    train, test = rng.normal(size=(30, 50)), rng.normal(size=(30, 50))
    mean_row = np.square(test - train.mean(axis=0)).sum() / len(test)
    assert metrics.pca_squared_error_at(0, train, test) == pytest.approx(mean_row, rel=1e-6)


def test_a_figure_that_is_no_number_is_not_within_any_tolerance():
    card = {"loss": 2.0, "squared_error": 1.0}
    for figures in ({"loss": np.nan, "squared_error": 1.0}, {"loss": 2.0, "squared_error": np.nan}):
        assert not recipes.within(recipes.deviations(figures, card), 0.05)
        assert not recipes.same(figures, card)
    near = recipes.deviations({"loss": 2.05, "squared_error": 1.0}, card)
    assert near == pytest.approx({"loss": 0.025, "squared_error": 0.0})
    assert recipes.within(near, 0.03)
    assert not recipes.within(near, 0.02)
    assert not recipes.same({"loss": 2.0, "squared_error": 1.0, "more": 1.0}, card)


def test_what_is_worse_than_pca_stays_out(own_zoo):
    card, files = (own_zoo / "ae_mlp.json").read_text(), sorted(own_zoo.rglob("*"))
    before = (own_zoo / "weights" / "ae_mlp.digits.weights.h5").read_bytes()
    with pytest.raises(ValueError, match="ae_mlp on digits stays out of the zoo"):
        publish("--epochs", 1)
    assert (own_zoo / "ae_mlp.json").read_text() == card
    assert (own_zoo / "weights" / "ae_mlp.digits.weights.h5").read_bytes() == before
    assert sorted(own_zoo.rglob("*")) == files


@pytest.mark.parametrize("name", OF_EACH_FAMILY.values())
def test_the_card_tells_the_truth(name):
    """One model of each family here; `make verify` measures all."""
    _, data = recipes.load(name, "digits")
    entry = sources.entry(name, "digits")
    figures = recipes.measure(name, "digits", data)
    assert set(figures) == set(entry["figures"])
    for figure, value in entry["figures"].items():
        assert figures[figure] == pytest.approx(value, rel=1e-3, abs=1e-3), figure
    model = autoencoders.get(name, weights="digits")
    assert entry["parameters"] == model.count_params()
    assert entry["baseline"] == recipes.baseline(model, name, data)._asdict()


# Publishing, reproducing, verifying --------------------------------------------------------------


def test_publish_reproduce_verify(own_zoo, monkeypatch):
    publish("--set", "latent_dim=8", "--tolerance", "0.01")
    registry._bundled_cards.cache_clear()
    entry = sources.entry("ae_mlp", "digits")
    assert entry["arguments"]["latent_dim"] == 8
    assert entry["tolerance"] == 0.01
    assert not list((own_zoo / "weights").glob(".*"))

    # On this machine the second training is the first, bit by bit.
    assert "within the tolerance of 1.0%" in run("reproduce", "ae_mlp", "--weights", "digits")
    first, second = (
        autoencoders.get("ae_mlp", weights=path).get_weights()
        for path in ("digits", "reproduced/ae_mlp.digits.weights.h5")
    )
    for a, b in zip(first, second, strict=True):
        np.testing.assert_array_equal(a, b)

    def no_network(*_):
        raise OSError("no network here")

    monkeypatch.setattr(socket.socket, "connect", no_network)
    assert "ae_mlp, digits: measured" in run("verify", "ae_mlp")

    # Another figure or bar on the card, and another byte in the file.
    card_file = own_zoo / "ae_mlp.json"
    true = card_file.read_text()
    for changed in ("parameters", "baseline", "figures"):
        card = json.loads(true)
        wrong = card["weights"]["digits"]
        card["weights"] = {"digits": wrong}
        if changed == "parameters":
            wrong["parameters"] += 1
        else:
            wrong[changed]["squared_error"] *= 0.98
        card_file.write_text(json.dumps(card))
        registry._bundled_cards.cache_clear()
        with pytest.raises(ValueError, match="1 of 1 files are not what their cards say"):
            run("verify", "ae_mlp")
    with pytest.raises(ValueError, match="ae_mlp was not reproduced within the tolerance: digits"):
        run("reproduce", "ae_mlp", "--weights", "digits")
    with open(own_zoo / "weights" / entry["file"], "r+b") as file:
        file.seek(5000)
        file.write(b"?")
    with pytest.raises(ValueError, match="1 of 1 files are not what their cards say"):
        run("verify", "ae_mlp")


def test_reproducing_what_is_not_there():
    with pytest.raises(ValueError, match="Did you mean 'digits'"):
        run("reproduce", "ae_mlp", "--weights", "digit")


@pytest.mark.parametrize("name", ["vae_mlp", "denoising_mlp"])
def test_figures_repeat(name, digits):
    """What is sampled for them comes from one seed."""
    _, data = recipes.load(name, "digits")
    keras.utils.set_random_seed(5)
    first = recipes.measure(name, "digits", data)
    keras.utils.set_random_seed(6)
    assert recipes.measure(name, "digits", data) == first


# Recipes -----------------------------------------------------------------------------------------


def test_the_learning_rate_falls_to_nothing(tmp_path):
    settings = {"schedule": "cosine", "epochs": 3, "batch_size": 100}
    run, data = recipes.load("ae_mlp", "digits", {"hidden_units": [8]}, **settings)
    rate = run.recipe["optimizer"]["learning_rate"]
    model = recipes.train(run, data, tmp_path / "m.weights.h5")
    schedule = model.optimizer.get_config()["learning_rate"]["config"]
    assert schedule["decay_steps"] == 3 * 15 == int(model.optimizer.iterations)
    assert schedule["initial_learning_rate"] == pytest.approx(rate)
    assert float(model.optimizer.learning_rate) == pytest.approx(0.0, abs=1e-9)
    # Going on with more epochs would be another run: its rate falls later.
    longer = run._replace(recipe={**run.recipe, "epochs": 4})
    assert recipes.checkpoint(longer, tmp_path / "m") != recipes.checkpoint(run, tmp_path / "m")
    constant = [run.recipe | {"epochs": n} for n in (3, 4)]
    for recipe in constant:
        del recipe["schedule"]
    assert len({recipes.checkpoint(run._replace(recipe=r), tmp_path / "m") for r in constant}) == 1


def test_a_recipe_says_only_what_is_known():
    with pytest.raises(ValueError, match="Did you mean 'schedule'"):
        recipes.load("ae_mlp", "digits", scheduel="cosine")
    with pytest.raises(
        ValueError, match="`epochs` of a recipe must be a positive integer, got 'two'"
    ):
        recipes.load("ae_mlp", "digits", epochs="two")
    assert "schedule" not in recipes.load("ae_mlp", "digits", schedule=None)[0].recipe
    with pytest.raises(ValueError, match="Unknown schedule 'linear'"):
        zoo.compile_arguments({"schedule": "linear"})


def test_a_recipe_with_few_labels(monkeypatch, tmp_path):
    given = {}

    def fit(self, x, y=None, **options):
        given["labels"] = y

    monkeypatch.setattr(autoencoders.Autoencoder, "fit", fit)
    small = {"hidden_units": [8], "discriminator_units": [8]}
    run, data = recipes.load("semi_supervised_aae_mlp", "digits", small, labels=50)
    recipes.train(run, data, tmp_path / "m.weights.h5")
    labels = given["labels"]
    assert np.count_nonzero(labels >= 0) == 50
    np.testing.assert_array_equal(np.bincount(labels[labels >= 0]), [5] * 10)
    assert (labels[labels >= 0] == data.y[labels >= 0]).all()
    for count in (5, 105, 5000):
        few = run._replace(recipe={**run.recipe, "labels": count})
        with pytest.raises(ValueError, match="must be a multiple of the 10 classes"):
            recipes.train(few, data, tmp_path / "m.weights.h5")
    unlabelled, _ = recipes.load("ae_mlp", "digits", labels=50)
    with pytest.raises(ValueError, match="ae_mlp takes no labels"):
        recipes.train(unlabelled, data, tmp_path / "m.weights.h5")


def test_a_corrupt_checkpoint_says_what_to_do(tmp_path):
    run, data = recipes.load("ae_mlp", "digits", epochs=1)
    recipes.checkpoint(run, tmp_path / "m.weights.h5").write_bytes(b"?")
    with pytest.raises(ValueError, match="delete it to start anew"):
        recipes.train(run, data, tmp_path / "m.weights.h5")


def test_half_precision(tmp_path, digits):
    model = autoencoders.get("vae_mlp", weights="digits")
    arguments = autoencoders.info("vae_mlp")["weights"]["digits"]["arguments"]
    sizes = {}
    for half in (False, True):
        path = tmp_path / f"{half}.weights.h5"
        sizes[half] = weights.save(model, path, "vae_mlp", arguments, half=half)["size"]
        again = autoencoders.get("vae_mlp", weights=path)
        for ours, theirs in zip(again.get_weights(), model.get_weights(), strict=True):
            np.testing.assert_allclose(ours, theirs, rtol=6e-4 if half else 0, atol=1e-6 * half)
    assert sizes[True] < 0.6 * sizes[False]
