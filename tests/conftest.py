import gc
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import pytest

DATA_DIR = os.environ.get("AUTOENCODERS_DATA_DIR")


@pytest.fixture(autouse=True)
def _seed(request):
    """The same random numbers for a test whichever ran before it in its process."""
    import keras  # not above: the process that hands out the tests has no use for it
    import numpy as np

    keras.utils.set_random_seed(0)
    generator = getattr(request.module, "RNG", None)
    if generator is not None:
        generator.bit_generator.state = np.random.default_rng(0).bit_generator.state


@pytest.fixture(autouse=True)
def _free():
    """Leave nothing of a test for the next ones' garbage collections to walk through."""
    yield
    gc.collect()
    gc.freeze()


@pytest.fixture(scope="session")
def digits():
    """`(x_train, x_test)` of the digits."""
    from autoencoders import datasets

    (x_train, _), (x_test, _) = datasets.digits()
    return x_train, x_test


@pytest.fixture(scope="session")
def mnist():
    """`(x_train, x_test)` of MNIST; needs it on disk."""
    if not DATA_DIR or not os.path.isfile(os.path.join(DATA_DIR, "mnist.npz")):
        pytest.skip("needs mnist.npz in the folder that AUTOENCODERS_DATA_DIR names")
    from autoencoders import datasets

    (x_train, _), (x_test, _) = datasets.mnist()
    return x_train, x_test


@pytest.fixture(scope="session")
def small_model():
    """A compiled autoencoder of rows of six features, trained for a step."""
    import numpy as np

    import autoencoders

    model = autoencoders.get("ae_mlp", input_shape=(6,), hidden_units=(7,), latent_dim=2)
    model.fit(np.ones((8, 6), "float32"), verbose=0)
    return model


@pytest.fixture(scope="session")
def small_detector():
    """A detector of rows of four features."""
    import numpy as np

    import autoencoders

    rows = np.random.default_rng(0).normal(size=(60, 4))
    arguments = {"model_params": {"hidden_units": (4,)}, "noise_levels": (1.0,)}
    return autoencoders.AnomalyDetector(epochs=1, random_state=0, **arguments).fit(rows)
