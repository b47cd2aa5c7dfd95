"""get, list_models, list_weights, info, register, load."""

import inspect

import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import registry


@pytest.fixture
def forget_user_models():
    yield
    for name in list(registry._user_cards):
        del registry._user_cards[name], registry._builders[name]


def test_list_models_filters():
    names = autoencoders.list_models()
    assert names == sorted(names)
    assert {"ae_linear", "ae_mlp", "ae_deep", "denoising_mlp", "vae_mlp", "aae_mlp"} <= set(names)
    assert autoencoders.list_models("ae_[dlm]*") == ["ae_deep", "ae_linear", "ae_lstm", "ae_mlp"]
    undercomplete = ["ae_deep", "ae_linear", "ae_mlp"]
    assert autoencoders.list_models(family="undercomplete") == undercomplete
    files = [file.name.split(".") for file in (registry.zoo_folder() / "weights").glob("*.h5")]
    for tag in ("digits", "mnist"):
        expected = sorted(name for name, of, *_ in files if of == tag)
        assert autoencoders.list_models(pretrained=tag) == expected
    pretrained = {name for name, *_ in files}
    assert autoencoders.list_models(pretrained=True) == sorted(pretrained)
    assert set(autoencoders.list_models(pretrained=False)) == set(names) - pretrained
    assert autoencoders.list_models(pretrained="no such tag") == []
    assert autoencoders.list_models("zzz") == []
    with pytest.raises(ValueError, match="Did you mean 'variational'"):
        autoencoders.list_models(family="variatonal")


def test_list_weights(forget_user_models):
    assert autoencoders.list_weights("vae_mlp") == ["digits", "mnist", "sprites"]
    autoencoders.register(lambda: None, name="mine")
    assert autoencoders.list_weights("mine") == []
    assert autoencoders.list_weights()["ae_mlp"] == ["digits", "mnist"]


def test_info_is_a_copy():
    card = autoencoders.info("vae_mlp")
    card["kwargs"]["latent_dim"] = 99
    assert autoencoders.info("vae_mlp")["kwargs"]["latent_dim"] == 2


@pytest.mark.parametrize("ask", [autoencoders.get, autoencoders.info, autoencoders.list_weights])
def test_an_unknown_name_suggests_the_nearest(ask):
    with pytest.raises(ValueError, match=r"'vae_mpl'\. Did you mean 'vae_mlp'"):
        ask("vae_mpl")


def test_an_unknown_argument_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"'latent_dims'\. Did you mean 'latent_dim'"):
        autoencoders.get("vae_mlp", latent_dims=3)


def test_arguments_of_the_caller_win_over_the_weights_which_win_over_the_card():
    assert autoencoders.get("ae_mlp").latent_shape == (32,)
    model = autoencoders.get("ae_mlp", weights="digits")
    assert model.latent_shape == (16,)
    assert model.encoder.input_shape == (None, 8, 8, 1)
    assert autoencoders.get("ae_mlp", input_shape=(5,), latent_dim=3).encode(
        np.zeros((2, 5), "float32")
    ).shape == (2, 3)


@pytest.mark.parametrize(
    ("hidden_units", "latent_dim", "parameters"),
    [
        # Two linear maps for the posterior; every layer has weights and biases.
        ((256,), 2, 784 * 256 + 256 + 2 * (256 * 2 + 2) + 2 * 256 + 256 + 256 * 784 + 784),
        ((200,), 10, 784 * 200 + 200 + 2 * (200 * 10 + 10) + 10 * 200 + 200 + 200 * 784 + 784),
    ],
)
def test_vae_mlp_has_both_published_shapes(hidden_units, latent_dim, parameters):
    model = autoencoders.get("vae_mlp", hidden_units=hidden_units, latent_dim=latent_dim)
    assert model.count_params() == parameters


def test_a_model_comes_compiled_by_its_recipe_or_not_at_all():
    model = autoencoders.get("factor_vae_mlp", input_shape=(4,))
    rates = {name: float(o.learning_rate.numpy()) for name, o in model.phase_optimizers.items()}
    assert rates == pytest.approx({"reconstruction": 1e-3, "discriminator": 1e-4})
    model = autoencoders.get("factor_vae_mlp", input_shape=(4,), compile=False)
    assert model.built
    assert not model.compiled


def test_own_networks_drop_into_a_family(digits):
    encoder = keras.Sequential([keras.layers.Flatten(), keras.layers.Dense(12, "relu")])
    decoder = keras.Sequential([keras.layers.Dense(64), keras.layers.Reshape((8, 8, 1))])
    x = digits[0][:64]
    for name in ("ae_mlp", "denoising_mlp", "vae_mlp", "aae_mlp"):
        networks = {"encoder": encoder, "decoder": decoder}
        networks = {key: keras.models.clone_model(value) for key, value in networks.items()}
        networks["encoder"].build((None, 8, 8, 1))
        networks["decoder"].build((None, 12))
        model = autoencoders.get(name, **networks)  # they say what shape and size it is
        assert model.encoder is networks["encoder"]
        model.fit(x, verbose=0)
        assert model.predict(x, verbose=0).shape == x.shape


def test_every_argument_is_on_the_card():
    for name in autoencoders.list_models():
        arguments = set(inspect.signature(registry.builder(name)).parameters)
        kwargs = set(autoencoders.info(name)["kwargs"])
        assert arguments - kwargs == {"encoder", "decoder", "name"}, name
        assert kwargs <= arguments


def test_register_adds_a_model_of_ones_own(forget_user_models, tmp_path, digits):
    @autoencoders.register(family="mine", kwargs={"latent_dim": 3}, recipe={"optimizer": "sgd"})
    def tiny(input_shape=(8, 8, 1), latent_dim=4):
        """A tiny autoencoder."""
        return autoencoders.Autoencoder(*autoencoders.networks.mlp(input_shape, latent_dim))

    assert "tiny" in autoencoders.list_models(family="mine")
    assert autoencoders.info("tiny")["description"] == "A tiny autoencoder."
    model = autoencoders.get("tiny")
    assert model.latent_shape == (3,)
    assert isinstance(model.optimizer, keras.optimizers.SGD)
    model.fit(digits[0][:32], verbose=0)
    model.save(tmp_path / "tiny.keras")
    assert autoencoders.load(tmp_path / "tiny.keras").latent_shape == (3,)


def test_register_does_not_replace_another_model(forget_user_models):
    def vae_mlp():
        raise AssertionError

    with pytest.raises(ValueError, match="'vae_mlp' exists already"):
        autoencoders.register(vae_mlp)
    autoencoders.register(vae_mlp, name="other")
    with pytest.raises(ValueError, match="'other' exists already"):
        autoencoders.register(lambda: None, name="other")
    autoencoders.register(vae_mlp, name="other")  # running a notebook's cell again is fine


def test_load_says_what_is_wrong(tmp_path):
    with pytest.raises(FileNotFoundError, match="no saved model at"):
        autoencoders.load(tmp_path / "nothing.keras")
    broken = tmp_path / "broken.keras"
    broken.write_bytes(b"not a zip file")
    with pytest.raises(ValueError, match="is not a saved model"):
        autoencoders.load(broken)
