"""Where weights come from, and what is checked on the way."""

import functools
import hashlib
import http.server
import shutil
import sys
import threading
import types

import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import registry
from autoencoders.zoo import sources, weights


@pytest.fixture
def bundled():
    return registry.zoo_folder() / "weights" / "ae_mlp.digits.weights.h5"


@pytest.fixture
def expected(digits):
    return autoencoders.get("ae_mlp", weights="digits").predict(digits[1], verbose=0)


def test_from_a_file_with_its_arguments(tmp_path, bundled, expected, digits):
    path = shutil.copy(bundled, tmp_path / "mine.weights.h5")
    model = autoencoders.get("ae_mlp", weights=path)
    np.testing.assert_array_equal(model.predict(digits[1], verbose=0), expected)


def test_from_a_saved_model(tmp_path, expected, digits):
    path = tmp_path / "whole.keras"
    autoencoders.get("ae_mlp", weights="digits").save(path)
    arguments = autoencoders.info("ae_mlp")["weights"]["digits"]["arguments"]
    model = autoencoders.get("ae_mlp", weights=path, **arguments)
    assert model.compiled
    np.testing.assert_array_equal(model.predict(digits[1], verbose=0), expected)


def test_a_saved_model_of_another_kind(tmp_path):
    autoencoders.get("vae_mlp", weights="digits").save(tmp_path / "vae.keras")
    with pytest.raises(ValueError, match="model with other layers than 'ae_mlp'"):
        autoencoders.get("ae_mlp", weights=tmp_path / "vae.keras", input_shape=(8, 8, 1))
    with pytest.raises(ValueError, match="model with other layers than 'ae_mlp'"):
        autoencoders.get("ae_mlp", weights=tmp_path / "vae.keras")
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save(tmp_path / "other.keras")
    with pytest.raises(ValueError, match="holds a Sequential, not an Autoencoder"):
        autoencoders.get("ae_mlp", weights=tmp_path / "other.keras")


@pytest.mark.parametrize("name", ["vae_mlp", "aae_mlp", "denoising_mlp"])
def test_a_saved_model_gives_its_weights_to_another_shape(name, tmp_path):
    model = autoencoders.get(name, input_shape=(8, 8, 1))
    model.save(tmp_path / "m.keras")
    same = autoencoders.get(name, weights=tmp_path / "m.keras", input_shape=(8, 8, 1))
    for ours, theirs in zip(same.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    with pytest.warns(UserWarning, match="3 of .* tensors were not loaded"):
        autoencoders.get(name, weights=tmp_path / "m.keras", input_shape=(9, 8, 1))


def test_a_saved_model_keeps_its_own_architecture(tmp_path):
    model = autoencoders.get("ae_mlp", input_shape=(6,), hidden_units=(7,), latent_dim=3)
    model.save(tmp_path / "m.keras")
    same = autoencoders.get("ae_mlp", weights=tmp_path / "m.keras")
    assert same.compiled
    for ours, theirs in zip(same.get_weights(), model.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_from_keras_own_weights_file(tmp_path):
    """It does not say how it was trained: the caller repeats the arguments."""
    model = autoencoders.get("ae_mlp", input_shape=(5,), hidden_units=(7,), latent_dim=2)
    model.save_weights(tmp_path / "k.weights.h5")
    same = autoencoders.get(
        "ae_mlp", tmp_path / "k.weights.h5", input_shape=5, hidden_units=7, latent_dim=2
    )
    np.testing.assert_array_equal(same.get_weights()[0], model.get_weights()[0])
    with pytest.raises(ValueError, match="needs them repeated"):
        autoencoders.get("ae_mlp", weights=tmp_path / "k.weights.h5")


def test_from_a_folder(tmp_path, bundled, expected, digits):
    shutil.copy(bundled, tmp_path / "ae_mlp.weights.h5")
    model = autoencoders.get("ae_mlp", weights=tmp_path)
    np.testing.assert_array_equal(model.predict(digits[1], verbose=0), expected)
    shutil.copy(bundled, tmp_path / "ae_mlp.other.weights.h5")
    with pytest.raises(ValueError, match="must hold one weights file"):
        autoencoders.get("ae_mlp", weights=tmp_path)


def test_from_an_address(tmp_path, bundled, expected, digits, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache")
    digest = hashlib.sha256(bundled.read_bytes()).hexdigest()
    with _server(bundled.parent) as root:
        address = f"{root}/{bundled.name}"
        with pytest.raises(ValueError, match="add their hash"):
            autoencoders.get("ae_mlp", weights=address)
        with pytest.raises(ValueError, match="another sha256 than stated"):
            autoencoders.get("ae_mlp", weights=f"{address}#sha256={'0' * 64}")
        with pytest.raises(ValueError, match="could not be fetched"):
            autoencoders.get("ae_mlp", weights=f"{root}/no.weights.h5#sha256={digest}")
        model = autoencoders.get("ae_mlp", weights=f"{address}#sha256={digest}")
    np.testing.assert_array_equal(model.predict(digits[1], verbose=0), expected)
    # Fetched once: the server is gone, the cache is not.
    autoencoders.get("ae_mlp", weights=f"{address}#sha256={digest}")


def test_from_hugging_face(tmp_path, bundled, expected, digits, monkeypatch):
    lfs = types.SimpleNamespace(sha256=hashlib.sha256(bundled.read_bytes()).hexdigest())
    sibling = types.SimpleNamespace(rfilename="ae_mlp.weights.h5", lfs=lfs)
    readme = types.SimpleNamespace(rfilename="README.md", lfs=None)
    listing = types.SimpleNamespace(sha="r1", siblings=[readme, sibling])
    asked = []

    def download(repository, file, revision):
        asked.append((repository, file, revision))
        return shutil.copy(bundled, tmp_path / file)

    hub = types.ModuleType("huggingface_hub")
    hub.HfApi = lambda: types.SimpleNamespace(model_info=lambda repo, files_metadata: listing)
    hub.hf_hub_download = download
    monkeypatch.setitem(sys.modules, "huggingface_hub", hub)
    model = autoencoders.get("ae_mlp", weights="hf://owner/repo")
    assert asked == [("owner/repo", "ae_mlp.weights.h5", "r1")]
    np.testing.assert_array_equal(model.predict(digits[1], verbose=0), expected)

    lfs.sha256 = "0" * 64
    with pytest.raises(ValueError, match="corrupt or not the file"):
        autoencoders.get("ae_mlp", weights="hf://owner/repo")
    sibling.lfs = None
    with pytest.raises(ValueError, match=r"states no sha256 for ae_mlp\.weights\.h5"):
        autoencoders.get("ae_mlp", weights="hf://owner/repo")

    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    with pytest.raises(ImportError, match=r"keras-autoencoders\[hub\]"):
        autoencoders.get("ae_mlp", weights="hf://owner/repo")


def test_an_unknown_tag_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"weights of vae_mlp 'mnits'\. Did you mean 'mnist'"):
        autoencoders.get("vae_mlp", weights="mnits")


def test_a_changed_byte_is_noticed_before_the_file_is_parsed(tmp_path, bundled, monkeypatch):
    folder = tmp_path / "weights"
    folder.mkdir()
    content = bytearray(bundled.read_bytes())
    content[-1] ^= 1
    (folder / bundled.name).write_bytes(content)
    monkeypatch.setattr(registry, "zoo_folder", lambda: tmp_path)
    monkeypatch.setattr("h5py.File", lambda *args, **kwargs: pytest.fail("parsed"))
    with pytest.raises(ValueError, match="corrupt or not the file that was meant"):
        autoencoders.get("ae_mlp", weights="digits")


def test_a_file_that_is_no_weights_file(tmp_path):
    path = tmp_path / "broken.weights.h5"
    path.write_bytes(b"\x89HDF\r\n\x1a\n and then nothing")
    with pytest.raises(ValueError, match="is damaged"):
        autoencoders.get("ae_mlp", weights=path)


def test_weights_of_another_model(bundled):
    with pytest.raises(ValueError, match="holds the weights of 'ae_mlp', not of 'ae_deep'"):
        autoencoders.get("ae_deep", weights=bundled)


def test_weights_that_do_not_fit_are_an_error():
    with pytest.raises(ValueError, match=r"code/kernel \(256, 16\) into \(256, 5\)"):
        autoencoders.get("ae_mlp", weights="digits", latent_dim=5)
    with pytest.raises(ValueError, match="model with other layers"):
        autoencoders.get("ae_mlp", weights="digits", hidden_units=(256, 256))


def test_another_input_shape_transplants_what_fits():
    with pytest.warns(UserWarning, match=r"3 of 8 tensors were not loaded.*hidden_1/kernel"):
        model = autoencoders.get("ae_mlp", weights="digits", input_shape=(10, 10, 1))
    trained = autoencoders.get("ae_mlp", weights="digits")
    fits = [a.shape == b.shape for a, b in zip(model.weights, trained.weights, strict=True)]
    assert fits == [False, True, True, True, True, True, False, False]
    for ours, theirs, fit in zip(model.weights, trained.weights, fits, strict=True):
        if fit:
            np.testing.assert_array_equal(ours, theirs)


def test_arguments_that_change_the_function_are_pointed_out():
    for arguments in ({"output": "linear"}, {"activation": "tanh"}):
        with pytest.warns(UserWarning, match="reconstructs otherwise than the model its weights"):
            autoencoders.get("ae_mlp", weights="digits", **arguments)
    with pytest.raises(ValueError, match="do not fit"):
        autoencoders.get("ae_mlp", weights="digits", input_shape=(8, 8, 1), latent_dim=5)


def test_other_arguments_keep_the_weights(digits):
    model = autoencoders.get("vae_mlp", weights="digits", beta=4.0)
    assert model.bottleneck.beta == 4.0
    trained = autoencoders.get("vae_mlp", weights="digits")
    np.testing.assert_array_equal(model.encode(digits[1]), trained.encode(digits[1]))


def test_saved_weights_hold_no_optimizer_and_no_random_state(tmp_path):
    import h5py

    model = autoencoders.get("vae_mlp", weights="digits")
    path = tmp_path / "v.weights.h5"
    arguments = {"input_shape": [8, 8, 1]}
    record = weights.save(model, path, "vae_mlp", arguments)
    assert record["sha256"] == hashlib.sha256(path.read_bytes()).hexdigest()
    with h5py.File(path) as file:
        assert set(file) <= {"vars", "encoder", "decoder", "bottleneck", "layers"}
        assert len(file["vars"]) == 0
    assert sources.find("vae_mlp", path).arguments == arguments


class _server:
    def __init__(self, folder):
        handler = functools.partial(_Quiet, directory=str(folder))
        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)

    def __enter__(self):
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def __exit__(self, *error):
        self.server.shutdown()
        self.server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        pass


def test_a_convolutional_transplant_to_larger_colour_images(tmp_path, digits):
    """Every tensor that fits is loaded, the others are named; a frozen encoder stays as it is."""
    trained = autoencoders.get("ae_conv", input_shape=(8, 8, 1), filters=(4, 8), latent_dim=3)
    trained.fit(digits[0], verbose=0)
    path = tmp_path / "mine.keras"
    trained.save(path)
    with pytest.warns(UserWarning, match=r"6 of 14 tensors were not loaded") as caught:
        model = autoencoders.get(
            "ae_conv", weights=path, input_shape=(40, 40, 3), filters=(4, 8), latent_dim=3
        )
    message = str(caught[0].message)
    for pair in zip(model.weights, trained.weights, strict=True):
        if pair[0].shape == pair[1].shape:
            np.testing.assert_array_equal(*pair)
        else:
            assert pair[0].path in message
    model.encoder.trainable = False
    model.compile("adam")
    before = [weight.numpy() for weight in model.encoder.weights]
    x = np.random.default_rng(0).uniform(size=(20, 40, 40, 3)).astype("float32")
    old = model.decoder.get_weights()
    model.fit(x, epochs=2, verbose=0)
    for weight, value in zip(model.encoder.weights, before, strict=True):
        np.testing.assert_array_equal(weight, value)
    assert not np.array_equal(old[0], model.decoder.get_weights()[0])


def test_weights_of_a_conditional_model_and_with_a_corruption(tmp_path, digits):
    small = {"input_shape": (8, 8, 1), "hidden_units": (8,)}
    autoencoders.get("cvae_mlp", **small).save(tmp_path / "c.keras")
    again = autoencoders.get("cvae_mlp", weights=tmp_path / "c.keras", beta=2.0, **small)
    assert again.bottleneck.beta == 2.0
    noisy = autoencoders.get(
        "vae_mlp", weights="digits", corruption=autoencoders.layers.MaskingNoise(0.2)
    )
    plain = autoencoders.get("vae_mlp", weights="digits")
    np.testing.assert_array_equal(noisy.encode(digits[1]), plain.encode(digits[1]))
    assert noisy.corruption.rate == 0.2
    noisy.fit(digits[0][:64], verbose=0)
    with pytest.raises(ValueError, match=r"`corruption` must be a layer.*got 0\.3"):
        autoencoders.get("ae_mlp", corruption=0.3)


def test_own_networks_tell_their_sizes():
    _, decoder = autoencoders.networks.mlp((20,), 8, (16,))
    model = autoencoders.get("cvae_mlp", input_shape=(20,), num_classes=3, decoder=decoder)
    assert model.latent_shape == (5,)
    assert model.decoder is decoder
