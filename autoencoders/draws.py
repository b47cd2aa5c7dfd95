"""Random numbers: those of `keras.random`, to the bit, in a form that XLA compiles well.

TensorFlow draws by Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011)
from a key and a counter, which it makes of the seed. XLA for CPUs makes them anew for every number,
which takes ten times as long as the draw, unless something stands between that it cannot fuse.
Layers, priors, penalties and corruptions draw here. Under another Keras backend these functions are
those of `keras.random`.
"""

import keras
import numpy as np

from autoencoders.types import Shape, Tensor

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf
    from tensorflow import raw_ops as raw

    def normal(
        shape: Shape | Tensor,
        *,
        dtype: str | None = None,
        seed: int | keras.random.SeedGenerator,
    ) -> Tensor:
        """Draw from the standard normal distribution.

        Args:
            shape: Shape of the result.
            dtype: Floating-point type of the result; Keras's default unless given.
            seed: `keras.random.SeedGenerator`, which moves on; or an integer, for the same numbers
                each time.

        Returns:
            Tensor of this shape.

        Raises:
            TypeError: a `seed` of another type.
        """
        dtype = dtype or keras.config.floatx()
        return raw.StatelessRandomNormalV2(shape=_shape(shape), dtype=dtype, **_source(seed))

    def uniform(
        shape: Shape | Tensor,
        minval: float | Tensor = 0.0,
        maxval: float | Tensor = 1.0,
        *,
        dtype: str | None = None,
        seed: int | keras.random.SeedGenerator,
    ) -> Tensor:
        """Draw evenly from `minval` (included) to `maxval` (excluded).

        Args:
            shape: Shape of the result.
            minval, maxval: The interval.
            dtype: Floating-point type of the result; Keras's default unless given.
            seed: As in `normal`.

        Returns:
            Tensor of this shape.

        Raises:
            TypeError: a `seed` of another type.
        """
        dtype = dtype or keras.config.floatx()
        low, high = (tf.cast(bound, dtype) for bound in (minval, maxval))
        unit = raw.StatelessRandomUniformV2(shape=_shape(shape), dtype=dtype, **_source(seed))
        return unit * (high - low) + low

    def randint(
        shape: Shape | Tensor,
        minval: int | Tensor,
        maxval: int | Tensor,
        *,
        seed: int | keras.random.SeedGenerator,
    ) -> Tensor:
        """Draw integers evenly from `minval` (included) to `maxval` (excluded).

        Args:
            shape: Shape of the result.
            minval, maxval: The interval.
            seed: As in `normal`.

        Returns:
            Tensor of this shape, int32.

        Raises:
            TypeError: a `seed` of another type.
        """
        low, high = (tf.cast(bound, "int32") for bound in (minval, maxval))
        return raw.StatelessRandomUniformIntV2(
            shape=_shape(shape), minval=low, maxval=high, **_source(seed)
        )

    def _shape(shape):
        """As one tensor: a part of it may not be known before the program runs."""
        return tf.convert_to_tensor(shape, "int32")

    def _source(seed):
        """What Keras would draw from: `key`, `counter` and `alg` of TensorFlow's operations."""
        if isinstance(seed, keras.random.SeedGenerator):
            state = seed.next()
        elif isinstance(seed, (int, np.integer)):
            state = tf.constant([seed, 0], "int64")
        else:
            raise TypeError(
                f"`seed` must be an integer or a keras.random.SeedGenerator, got {seed!r}."
            )
        # Keras keeps the state as int64, and TensorFlow's generators take int32.
        state = tf.cast(tf.math.floormod(state, tf.int32.max - 1), "int32")
        key, counter = raw.StatelessRandomGetKeyCounter(seed=state)
        if not tf.config.list_logical_devices("GPU"):
            # Put into an empty tensor they are the same, and XLA for CPUs does not fuse a scatter
            # with what follows. A GPU would have two more operations to launch.
            key = tf.scatter_nd([[0]], key, [1])
            counter = tf.scatter_nd([[0], [1]], counter, [2])
        return {"key": key, "counter": counter, "alg": tf.random.Algorithm.AUTO_SELECT.value}

else:
    from keras.random import normal, randint, uniform  # noqa: F401
