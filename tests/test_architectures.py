"""Any objective on any network: architectures as values, and the names that are made of both."""

import inspect
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
from keras import ops

import autoencoders
from autoencoders import docstrings, models, networks, registry
from autoencoders.models import building

IMAGE, SERIES = (8, 8, 1), (3, 2)
VECTORS = [
    networks.MLP(IMAGE, 16),
    networks.Conv(IMAGE, (4, 4)),
    networks.Conv1D(SERIES, (4,), 3),
    networks.Recurrent(SERIES, 8),
    networks.Recursive(SERIES, 8),
]
GRIDS = [networks.MLPGrid(IMAGE, 3, 16), networks.Conv(IMAGE, (4, 4)), networks.Conv1D(SERIES, 4)]
ARGUMENTS = {
    "k_sparse_ae": {"latent_dim": 6, "k": 2, "tied_weights": False},
    "contractive_ae": {"latent_dim": 3, "tied_weights": False},
    "vamp_vae": {"num_pseudo_inputs": 4},
    "aae": {"discriminator_units": 8},
    "semi_supervised_aae": {"discriminator_units": 8},
    "factor_vae": {"discriminator_units": 8},
    "dvae": {"num_codes": 5},
}


def _pairs():
    for name in models.__all__:
        if name == "vae_gan":  # its discriminator has the filters of the networks
            yield name, VECTORS[1]
        elif name not in ("stacked_ae", "stacked_rbm"):  # pre-training goes by dense layers
            for network in GRIDS if name in ("vq_vae", "dvae") else VECTORS:
                yield name, network
        else:
            yield name, VECTORS[0]


@pytest.mark.parametrize(
    ("name", "network"),
    [pytest.param(*pair, id=f"{pair[0]}-{type(pair[1]).__name__}") for pair in _pairs()],
)
def test_an_objective_takes_any_network(name, network):
    model = getattr(models, name)(network, **ARGUMENTS.get(name, {}))
    x = np.random.default_rng(0).random((4, *network.input_shape), "float32")
    given = (x, np.arange(4)) if model.needs_labels else x
    assert model(given).shape == x.shape
    assert model.encoder.name == "encoder"
    if type(network) in (networks.Recurrent, networks.Conv1D):  # it learns, too
        model.compile(run_eagerly=True)
        before = model.get_weights()
        logs = model.train_on_batch(x, np.arange(4) if model.labels else None, return_dict=True)
        assert {term for phase in model.phases for term in phase.terms} <= set(logs)
        assert all(np.isfinite(value) for value in logs.values())
        after = model.get_weights()
        moved = [not np.array_equal(*pair) for pair in zip(before, after, strict=True)]
        assert sum(moved) >= len(model.trainable_variables) - 1


def test_a_name_is_an_objective_over_an_architecture():
    weights = []
    for build in (
        lambda: autoencoders.get("vae_conv", input_shape=IMAGE, filters=(4, 8), beta=2.0),
        lambda: models.vae(networks.Conv(IMAGE, (4, 8)), latent_dim=10, beta=2.0),
    ):
        keras.utils.set_random_seed(0)
        model = build()
        model.build((None, *IMAGE))
        assert model.bottleneck.beta == 2.0
        weights.append(model.get_weights())
    for a, b in zip(*weights, strict=True):
        np.testing.assert_array_equal(a, b)


def test_a_builders_signature_is_complete_and_has_the_cards_defaults():
    for name in autoencoders.list_models():
        card = autoencoders.info(name)
        build = registry.builder(name)
        parameters = inspect.signature(build).parameters
        for argument, value in card["kwargs"].items():
            default = parameters[argument].default
            assert (list(default) if isinstance(default, tuple) else default) == value
        assert parameters["name"].default == name
        assert {p.kind for p in parameters.values()} == {inspect.Parameter.KEYWORD_ONLY}
        assert all(f"    {argument}: " in build.__doc__ for argument in parameters)
    with pytest.raises(TypeError, match="latent_dims"):
        registry.builder("vae_mlp")(latent_dims=3)


def test_info_says_what_each_argument_does():
    for name in autoencoders.list_models():
        lines = autoencoders.info(name)["arguments"]
        assert set(lines) == set(inspect.signature(registry.builder(name)).parameters), name
        # References are followed, so that each line stands for itself.
        assert all(len(line) > 4 and "As in" not in line for line in lines.values()), name
    assert "KL" in autoencoders.info("cvae_conv")["arguments"]["beta"]


def test_info_of_a_model_of_ones_own_says_what_its_docstring_says(monkeypatch):
    monkeypatch.setattr(registry, "_user_cards", {})
    monkeypatch.setattr(registry, "_builders", dict(registry._builders))

    @autoencoders.register
    def mine(latent_dim=3):
        """My autoencoder.

        Args:
            latent_dim: Number of
                code units.

        Returns:
            A model.
        """
        return models.ae(networks.MLP((4,)), latent_dim)

    assert autoencoders.info("mine")["arguments"] == {"latent_dim": "Number of code units."}
    assert autoencoders.get("mine").latent_shape == (3,)


def test_names_of_ones_own_and_of_the_package_do_not_meet():
    """A user's `vae` is neither a builder of the zoo nor refused, whenever it is registered."""
    script = """
import autoencoders

@autoencoders.register(kwargs={"latent_dim": 3})
def vae(input_shape=(4,), latent_dim=2):
    return autoencoders.Autoencoder(*autoencoders.networks.mlp(input_shape, latent_dim))

@autoencoders.register
def MLP(input_shape=(4,)):
    return autoencoders.Autoencoder(*autoencoders.networks.mlp(input_shape, 2))

assert autoencoders.get("vae").latent_shape == (3,)
assert autoencoders.get("vae_mlp", input_shape=(4,)).bottleneck is not None
lines = autoencoders.info("vae_mlp")["arguments"]
assert "hidden_units" in lines and "beta" in lines
assert autoencoders.info("vae")["arguments"] == {}

# The package's own builders are known by now.
@autoencoders.register(kwargs={"latent_dim": 4})
def wae(input_shape=(4,), latent_dim=2):
    return autoencoders.Autoencoder(*autoencoders.networks.mlp(input_shape, latent_dim))

assert autoencoders.get("wae").latent_shape == (4,)
assert "hidden_units" in autoencoders.info("wae_mlp")["arguments"]
assert autoencoders.info("wae")["arguments"] == {}
"""
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_builder_needs_no_docstring(monkeypatch):
    monkeypatch.setattr(registry, "_user_cards", {})
    monkeypatch.setattr(registry, "_builders", dict(registry._builders))

    def bare(network, latent_dim=3, *, name="bare", **others):
        return models.ae(network, latent_dim, name=name, **others)

    autoencoders.register(bare, network="MLP")
    model = autoencoders.get("bare", input_shape=(6,), output="sigmoid")
    assert model.latent_shape == (3,)
    assert model.decoder.get_layer("output").activation is keras.activations.sigmoid
    assert "hidden_units" in autoencoders.info("bare")["arguments"]

    def other(net):
        raise AssertionError

    with pytest.raises(ValueError, match="other must have an argument `network`"):
        autoencoders.register(other, network="MLP")


def test_models_are_built_where_the_source_is_not(monkeypatch):
    monkeypatch.setattr(docstrings, "docstrings", lambda files: {})
    registry._docstrings.cache_clear()
    try:
        assert autoencoders.get("ae_mlp", input_shape=(4,)).latent_shape == (32,)
        assert autoencoders.info("ae_mlp")["arguments"] == {}
    finally:
        registry._docstrings.cache_clear()


@pytest.mark.parametrize(
    ("section", "expected"),
    [
        ("    a: One\n        more.\n    b, c: Two.\n\nReturns:\n    d: Not.", "a: One more."),
        ("            a: Deep.\n                more.\n            b, c: Two.", "a: Deep. more."),
        ("  a (int): Typed.\n    more: it goes on.\n  b, c: Two.", "a: Typed. more: it goes on."),
    ],
)
def test_arguments_in_docstrings(section, expected):
    found = docstrings.arguments(f"Words.\n\nArgs:\n{section}\n")
    assert found == {"a": expected.removeprefix("a: "), "b": "Two.", "c": "Two."}
    assert docstrings.arguments("Words.\n\nParameters\n----------\na: One.") == {}


def test_references_in_circles_end(monkeypatch):
    monkeypatch.setattr(registry, "_user_cards", {})
    monkeypatch.setattr(registry, "_builders", dict(registry._builders))

    @autoencoders.register
    def own(beta=1.0):
        """Own.

        Args:
            beta: As in `own`.
        """

    assert autoencoders.info("own")["arguments"] == {"beta": "As in `own`."}


def test_an_objective_of_ones_own_goes_with_any_architecture(monkeypatch):
    monkeypatch.setattr(registry, "_user_cards", {})
    monkeypatch.setattr(registry, "_builders", dict(registry._builders))

    def halved(network, latent_dim=3, *, name="halved"):
        """Half an autoencoder.

        Args:
            network: The networks.
            latent_dim: Number of code units.
            name: Name of the model.
        """
        return models.ae(network, latent_dim, name=name)

    autoencoders.register(halved, name="halved_mlp", network="MLP", kwargs={"hidden_units": (5,)})
    autoencoders.register(halved, name="halved_conv", network="Conv", kwargs={"filters": 4})
    model = autoencoders.get("halved_mlp", input_shape=(6,))
    assert model.encoder.get_layer("hidden_1").units == 5
    assert autoencoders.get("halved_conv").latent_shape == (3,)
    assert autoencoders.info("halved_conv")["arguments"]["latent_dim"] == "Number of code units."
    assert "filters" in autoencoders.info("halved_conv")["arguments"]
    with pytest.raises(ValueError, match=r"Unknown network 'Conf'\. Did you mean 'Conv'"):
        autoencoders.register(halved, name="halved_conf", network="Conf")


def test_a_variant_is_a_card_and_no_code(tmp_path, monkeypatch):
    for card in registry.zoo_folder().glob("*.json"):
        (tmp_path / card.name).write_bytes(card.read_bytes())
    card = json.loads((tmp_path / "wae_mlp.json").read_text(encoding="utf-8"))
    del card["kwargs"]["hidden_units"]
    card |= {
        "network": "Conv1D",
        "kwargs": {**card["kwargs"], "input_shape": [9, 2]},
        "weights": {},
    }
    (tmp_path / "wae_conv1d.json").write_text(json.dumps(card), encoding="utf-8")
    monkeypatch.setattr(registry, "zoo_folder", lambda: tmp_path)
    registry._bundled_cards.cache_clear()
    try:
        model = autoencoders.get("wae_conv1d", kernel_size=5)
        assert model.encoder.get_layer("conv_1").kernel_size == (5,)
        x = np.zeros((4, 9, 2), "float32")
        assert "mmd_loss" in model.evaluate(x, verbose=0, return_dict=True)
    finally:
        registry._bundled_cards.cache_clear()


def test_a_builder_must_not_share_arguments_with_its_network():
    def clash(network, activation="relu", name="clash"):
        raise AssertionError

    with pytest.raises(ValueError, match="clash and MLP both have the argument 'activation'"):
        building.composed(clash, "MLP", {})
    with pytest.raises(ValueError, match="Unknown network 'Networks'"):
        autoencoders.register(clash, network="Networks")


def test_networks_that_do_not_suit_an_objective_are_refused():
    with pytest.raises(ValueError, match="Conv networks cannot tie weights: pass `tied_weights="):
        models.contractive_ae(networks.Conv(IMAGE))
    with pytest.raises(ValueError, match=r"MLP networks have one vector as their code.*MLPGrid"):
        models.vq_vae(networks.MLP(IMAGE))
    with pytest.raises(ValueError, match="MLPGrid describes no networks around a code of one"):
        models.vae(networks.MLPGrid(IMAGE))
    with pytest.raises(ValueError, match="pass both `encoder` and `decoder`"):
        models.ae(networks.Architecture(IMAGE))
    for network in (networks.MLP(IMAGE), networks.Conv1D(SERIES)):
        with pytest.raises(ValueError, match=r"images: pass a `networks\.Conv`"):
            models.vae_gan(network)
    with pytest.raises(TypeError, match=r"vae_mlp\(\) got an unexpected keyword .*'latent_dims'"):
        registry.builder("vae_mlp")(latent_dims=3)


@pytest.mark.parametrize("name", ["contractive_ae", "k_sparse_ae"])
def test_networks_of_ones_own_tie_no_weights(name):
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(40)])
    decoder = keras.Sequential([keras.Input((40,)), keras.layers.Dense(6)])
    for kind in (networks.Architecture, networks.Conv):
        network = kind((6,), encoder=encoder, decoder=decoder)
        assert getattr(models, name)(network, 40).encoder is encoder


def test_a_codebook_takes_networks_of_ones_own():
    encoder = keras.Sequential([keras.Input((6, 1)), keras.layers.Dense(4)])
    decoder = keras.Sequential([keras.Input((6, 16)), keras.layers.Dense(1)])
    model = models.vq_vae(networks.Architecture((6, 1), encoder=encoder, decoder=decoder))
    assert model(np.zeros((3, 6, 1), "float32")).shape == (3, 6, 1)


def test_architectures_are_values():
    assert networks.MLP([6], [4]) == networks.MLP((6,), (4,))
    assert hash(networks.MLP([6], [4])) == hash(networks.MLP((6,), (4,)))


def test_networks_of_ones_own_need_no_description():
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.Dense(4)])
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(6)])
    model = models.vae(networks.Architecture((6,), encoder=encoder, decoder=decoder), latent_dim=2)
    assert model.encoder is encoder
    assert model(np.zeros((3, 6), "float32")).shape == (3, 6)


def test_padding_reaches_every_objective():
    x = np.random.default_rng(0).random((4, *SERIES), "float32")
    padded = np.concatenate([x, np.full((4, 3, 2), -1.0, "float32")], axis=1)
    for objective in (models.ae, models.vae, models.aae):
        model = objective(networks.Recurrent((None, 2), 8, mask_value=-1.0), latent_dim=3)
        assert model.mask_value == -1.0
        whole, cut = (ops.convert_to_numpy(model(rows)) for rows in (padded, x))
        np.testing.assert_allclose(whole[:, : SERIES[0]], cut, rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(whole[:, SERIES[0] :], padded[:, SERIES[0] :])


def test_asking_for_arguments_imports_no_keras():
    code = (
        "import sys, autoencoders; autoencoders.info('vae_mlp')['arguments'];"
        "print('keras' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "False"
