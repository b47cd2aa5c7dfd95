"""Random numbers: those of `keras.random`, to the bit, in a form that XLA compiles well.

`keras.random` lets TensorFlow select the generator. TensorFlow selects Philox (Salmon et al.,
"Parallel random numbers: as easy as 1, 2, 3", SC 2011), and yet XLA for CPUs makes of it something
more than ten times slower than of Philox asked for by name. Layers, priors, penalties and
corruptions draw here. Under another Keras backend these functions are those of `keras.random`.
"""

import keras
from keras import ops

if keras.backend.backend() == "tensorflow":
    import tensorflow as tf

    def normal(shape, *, dtype=None, seed):
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
        return tf.random.stateless_normal(shape, dtype=dtype, **_source(seed))

    def uniform(shape, minval=0.0, maxval=1.0, *, dtype=None, seed):
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
        return tf.random.stateless_uniform(
            shape, minval=low, maxval=high, dtype=dtype, **_source(seed)
        )

    def randint(shape, minval, maxval, *, seed):
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
        return tf.random.stateless_uniform(
            shape, minval=minval, maxval=maxval, dtype="int32", **_source(seed)
        )

    def _source(seed):
        """What Keras would draw from: `seed` and `alg` of TensorFlow's functions."""
        if isinstance(seed, keras.random.SeedGenerator):
            state, generator = seed.next(), "philox"
        elif isinstance(seed, int):
            # A constant within a program: TensorFlow would scramble it before XLA could, and
            # otherwise than XLA does. Left to TensorFlow, the generator gives Keras's numbers.
            state, generator = ops.convert_to_tensor([seed, 0], "int64"), "auto_select"
        else:
            raise TypeError(
                f"`seed` must be an integer or a keras.random.SeedGenerator, got {seed!r}."
            )
        # Keras keeps the state as int64, and TensorFlow's generators take int32.
        key = tf.cast(tf.math.floormod(state, tf.int32.max - 1), "int32")
        return {"seed": key, "alg": generator}

else:
    from keras.random import normal, randint, uniform  # noqa: F401
