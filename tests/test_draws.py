"""Draws are those of `keras.random`, to the bit, in every kind of program."""

import importlib.util

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import ops

from autoencoders import draws

SHAPE = (50, 7)
DRAWS = {
    "normal": {},
    "uniform": {"minval": -1.0, "maxval": 3.0},
    "randint": {"minval": 2, "maxval": 12},
}
WAYS = {
    "eager": lambda function: function,
    "graph": lambda function: tf.function(function, autograph=False),
    "xla": lambda function: tf.function(function, autograph=False, jit_compile=True),
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("name", DRAWS)
def test_the_numbers_are_those_of_keras(name, way):
    ours, theirs = keras.random.SeedGenerator(3), keras.random.SeedGenerator(3)

    def pair():
        """A draw from the generators and one from an integer, ours and Keras's."""
        mine, kerass = getattr(draws, name), getattr(keras.random, name)
        options = DRAWS[name]
        return [
            mine(SHAPE, seed=ours, **options),
            kerass(SHAPE, seed=theirs, **options),
            mine(SHAPE, seed=2**31 + 5, **options),
            kerass(SHAPE, seed=2**31 + 5, **options),
        ]

    run = WAYS[way](pair)
    for _ in range(3):
        a, b, c, d = (np.asarray(part) for part in run())
        assert a.dtype == b.dtype
        assert a.shape == SHAPE
        np.testing.assert_array_equal(a, b)
        np.testing.assert_array_equal(c, d)
        assert not np.array_equal(a, c)
    np.testing.assert_array_equal(ours.state, theirs.state)


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_other_precisions(dtype):
    for name in ("normal", "uniform"):
        ours, theirs = (getattr(m, name)(SHAPE, dtype=dtype, seed=5) for m in (draws, keras.random))
        assert ours.dtype == dtype
        np.testing.assert_array_equal(ops.cast(ours, "float64"), ops.cast(theirs, "float64"))


def test_a_shape_that_is_not_known_before_it_runs():
    generator = keras.random.SeedGenerator(3)

    @tf.function(input_signature=[tf.TensorSpec((None, 4))], autograph=False)
    def noise(x):
        return draws.normal(ops.shape(x), seed=generator)

    drawn = noise(tf.zeros((6, 4)))
    twin = keras.random.SeedGenerator(3)
    np.testing.assert_array_equal(drawn, keras.random.normal((6, 4), seed=twin))


@pytest.mark.parametrize("seed", [None, 1.5, "3"])
def test_a_seed_is_an_integer_or_a_generator(seed):
    """Without one a graph would hold the same numbers for ever."""
    with pytest.raises(TypeError, match=r"integer or a keras\.random\.SeedGenerator"):
        draws.normal((2,), seed=seed)


def test_under_another_backend_keras_draws(monkeypatch):
    monkeypatch.setattr(keras.backend, "backend", lambda: "jax")
    spec = importlib.util.find_spec("autoencoders.draws")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    for name in DRAWS:
        assert getattr(module, name) is getattr(keras.random, name)
