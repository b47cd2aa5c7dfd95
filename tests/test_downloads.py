"""What is fetched is bounded, verified, and an error names its true cause."""

import functools
import hashlib
import http.server
import os
import threading
import time
from contextlib import contextmanager

import numpy as np
import pytest

import autoencoders
from autoencoders import registry
from autoencoders.zoo import downloads


@pytest.fixture
def bundled():
    return registry.zoo_folder() / "weights" / "ae_mlp.digits.weights.h5"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setattr("pooch.os_cache", lambda project: tmp_path / "cache")
    return tmp_path / "cache"


class _Handler(http.server.SimpleHTTPRequestHandler):
    """Serves a folder; "around" leads to itself, and "slow" never ends."""

    def do_GET(self):
        if "around" in self.path:
            self.send_response(302)
            self.send_header("Location", self.path)
            self.end_headers()
        elif "slow" in self.path:
            self.send_response(200)
            self.end_headers()
            try:
                while True:
                    self.wfile.write(bytes(2**16))
                    time.sleep(0.01)
            except OSError:
                pass
        else:
            super().do_GET()

    def log_message(self, *args):
        pass


@contextmanager
def served(folder):
    handler = functools.partial(_Handler, directory=str(folder))
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()


def get(address, digest):
    return autoencoders.get("ae_mlp", weights=f"{address}#sha256={digest}")


def test_a_hash_may_be_written_in_capitals(bundled, cache):
    digest = hashlib.sha256(bundled.read_bytes()).hexdigest()
    with served(bundled.parent) as root:
        model = get(f"{root}/{bundled.name}", digest.upper())
        with pytest.raises(ValueError, match="64 hexadecimal digits; got 'abc'"):
            get(f"{root}/{bundled.name}", "abc")
    expected = autoencoders.get("ae_mlp", weights="digits").get_weights()
    np.testing.assert_array_equal(model.get_weights()[0], expected[0])
    assert len(os.listdir(cache)) == 1


def test_an_error_names_the_cause_and_leaves_nothing(bundled, cache, monkeypatch):
    digest = hashlib.sha256(bundled.read_bytes()).hexdigest()
    with served(bundled.parent) as root:
        causes = {
            f"{root}/none.weights.h5": "404",
            f"{root}/around.weights.h5": "redirects",
            "http://127.0.0.1:1/a.weights.h5": "refused|Max retries",
            "http://[::1/a.weights.h5": "Invalid|address|could not",
        }
        for address, cause in causes.items():
            with pytest.raises(ValueError, match=cause) as error:
                get(address, digest)
            assert "sha256 than stated" not in str(error.value)
        with pytest.raises(ValueError, match="another sha256 than stated"):
            get(f"{root}/{bundled.name}", "0" * 64)
        monkeypatch.setattr(downloads, "BYTES", 1000)
        with pytest.raises(ValueError, match="could not be fetched: it has more than 1,000 bytes"):
            get(f"{root}/slow.weights.h5", digest)
        monkeypatch.setattr(downloads, "BYTES", 2**31)
        monkeypatch.setattr(downloads, "SECONDS", 0.1)
        with pytest.raises(ValueError, match="could not be fetched: it takes longer than"):
            get(f"{root}/slow.weights.h5", digest)
    assert os.listdir(cache) == []


def test_what_killed_downloads_left_is_removed(bundled, cache):
    cache.mkdir()
    for name, age in {"tmpabcd1234": 2 * 3600, "tmpabcd5678": 0, "tmp.mine": 2 * 3600}.items():
        (cache / name).write_bytes(b"")
        then = time.time() - age
        os.utime(cache / name, (then, then))
    digest = hashlib.sha256(bundled.read_bytes()).hexdigest()
    with served(bundled.parent) as root:
        get(f"{root}/{bundled.name}", digest)
    assert {"tmpabcd5678", "tmp.mine"} == {n for n in os.listdir(cache) if n.startswith("tmp")}


def test_load_fetches_whole_models(tmp_path):
    model = autoencoders.get("ae_mlp", weights="digits")
    model.save(tmp_path / "m.keras")
    digest = hashlib.sha256((tmp_path / "m.keras").read_bytes()).hexdigest()
    with served(tmp_path) as root:
        loaded = autoencoders.load(f"{root}/m.keras#sha256={digest}")
    np.testing.assert_array_equal(loaded.get_weights()[0], model.get_weights()[0])


@pytest.mark.parametrize(
    "detector",
    [
        autoencoders.AnomalyDetector(epochs=1, model_params={"weights": "https://localhost/a"}),
        autoencoders.SeriesAnomalyDetector(epochs=1, model_params={"weights": "digits"}),
    ],
)
def test_a_detector_fetches_nothing(detector):
    """A stranger's file may say what it is made with."""
    with pytest.raises(ValueError, match=r"`weights` is none\. Give the detector the model itself"):
        detector.fit(np.random.default_rng(0).normal(size=(200, 2)))
