"""Reconstruction errors in JAX."""

import jax
import numpy as np
from jax import numpy as jnp

from benchmarks.peers.jax_training import apply, dense


def jitted(data):
    """Reconstruction and error in one jitted function, in large batches."""
    x = np.load(data)
    rng = np.random.default_rng(0)
    encoder, decoder = dense(rng, 784, 256, 32), dense(rng, 32, 256, 784)

    @jax.jit
    def errors(batch):
        return jnp.mean((batch - apply(decoder, apply(encoder, batch))) ** 2, axis=1)

    def run():
        parts = [errors(x[start : start + 4096]) for start in range(0, len(x), 4096)]
        return np.concatenate(parts)

    return run
