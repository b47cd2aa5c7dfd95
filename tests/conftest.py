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
