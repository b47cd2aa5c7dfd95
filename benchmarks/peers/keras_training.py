"""An epoch of training in Keras: this package, stock Keras, and the limit that XLA sets."""

import numpy as np
import tensorflow as tf

from autoencoders.training import step
from benchmarks.peers import keras_models


def autoencoders(task, data, batch_size):
    """`fit` of this package, as it comes."""
    x = np.load(data)
    model = keras_models.ours(task)
    return lambda: model.fit(x, batch_size=batch_size, verbose=0)


def stock(task, data, batch_size):
    """Keras's `fit` around a hand-written `train_step`."""
    return _stock(task, data, batch_size)


def stock_jit(task, data, batch_size):
    """The same with all that Keras offers for speed."""
    return _stock(task, data, batch_size, jit_compile=True, steps_per_execution=100)


def _stock(task, data, batch_size, **options):
    x = np.load(data)
    options = {"jit_compile": False, **options}
    model = keras_models.hand_written(keras_models.ours(task), **options)
    return lambda: model.fit(x, batch_size=batch_size, verbose=0)


def bare_xla(task, data, batch_size):
    """A whole epoch as one XLA program: no Keras loop, no logs, no checks."""
    x = np.load(data)
    model = keras_models.ours(task)
    model.fit(x[:batch_size], batch_size=batch_size, verbose=0)  # arrays: no checks in the step
    batches = len(x) // batch_size
    rows = tf.constant(x)
    rng = np.random.default_rng(0)

    @tf.function(jit_compile=True, autograph=False)
    def epoch(data):
        def body(number):
            batch = step.Batch(data[number], data[number])
            step.train(model.phases, model.phase_optimizers, batch)
            return (number + 1,)

        return tf.while_loop(lambda number: number < batches, body, (tf.constant(0),))

    def run():
        order = rng.permutation(len(x))[: batches * batch_size]
        shape = (batches, batch_size, *x.shape[1:])
        epoch(tf.reshape(tf.gather(rows, order), shape))[0].numpy()

    return run
