"""An epoch of training in JAX: `lax.scan` over the batches, in one program, written by hand."""

import itertools

import jax
import numpy as np
from jax import lax
from jax import numpy as jnp


def scan(task, data, batch_size):
    """The whole epoch in one jitted scan."""
    if task not in _PHASES:
        raise NotImplementedError("only dense models are written")
    x = jnp.asarray(np.load(data))
    params, phases = _PHASES[task]()
    zeros = jax.tree.map(jnp.zeros_like, params)
    moments = [({name: zeros[name] for name in names},) * 2 for names, _ in phases]
    state = (params, moments, jax.random.key(0), jnp.zeros((), "float32"))
    optimizer = _rmsprop if task == "dense_small" else _adam
    batches = len(x) // batch_size

    def update(phase, params, moments, batch, key, count):
        names, loss = phase
        own = {name: params[name] for name in names}
        gradients = jax.grad(lambda own: loss({**params, **own}, batch, key))(own)
        new = jax.tree.map(lambda *parts: optimizer(*parts, count), own, gradients, *moments)
        own, *moments = jax.tree.transpose(
            jax.tree.structure(own), jax.tree.structure((0,) * 3), new
        )
        return {**params, **own}, tuple(moments)

    def train(state, batch):
        params, moments, key, count = state
        key, *keys = jax.random.split(key, len(phases) + 1)
        count = count + 1
        moments = list(moments)
        for number, phase in enumerate(phases):
            params, moments[number] = update(
                phase, params, moments[number], batch, keys[number], count
            )
        return (params, moments, key, count), None

    @jax.jit
    def epoch(state, x, order):
        return lax.scan(train, state, x[order].reshape(batches, batch_size, -1))[0]

    rng = np.random.default_rng(0)

    def run():
        nonlocal state
        state = epoch(state, x, rng.permutation(len(x))[: batches * batch_size])
        jax.block_until_ready(state[0])

    return run


def _rmsprop(param, gradient, _, square, count):
    square = 0.9 * square + 0.1 * gradient**2
    return param - 1e-3 * gradient / (jnp.sqrt(square) + 1e-7), gradient, square


def _adam(param, gradient, mean, square, count):
    mean = 0.9 * mean + 0.1 * gradient
    square = 0.999 * square + 0.001 * gradient**2
    rate = 1e-3 * jnp.sqrt(1 - 0.999**count) / (1 - 0.9**count)
    return param - rate * mean / (jnp.sqrt(square) + 1e-7), mean, square


def dense(rng, *units):
    layers = []
    for before, after in itertools.pairwise(units):
        limit = np.sqrt(6 / (before + after))
        layers.append(jnp.array(rng.uniform(-limit, limit, (before, after)), "float32"))
        layers.append(jnp.zeros(after))
    return layers


def apply(layers, x):
    for number in range(0, len(layers), 2):
        x = x @ layers[number] + layers[number + 1]
        if number + 2 < len(layers):
            x = jax.nn.relu(x)
    return x


def _log_loss(logits, label):
    return jnp.mean(jax.nn.softplus(-logits if label else logits))


def _vae():
    rng = np.random.default_rng(0)
    params = {
        "hidden": dense(rng, 784, 256),
        "mean": dense(rng, 256, 2),
        "log_variance": dense(rng, 256, 2),
        "decoder": dense(rng, 2, 256, 784),
    }

    def loss(params, x, key):
        features = jax.nn.relu(apply(params["hidden"], x))
        mean, log_var = apply(params["mean"], features), apply(params["log_variance"], features)
        z = mean + jnp.exp(0.5 * log_var) * jax.random.normal(key, mean.shape)
        logits = apply(params["decoder"], z)
        cross_entropy = jnp.sum(jax.nn.softplus(logits) - x * logits)
        kl = -0.5 * jnp.sum(1 + log_var - mean**2 - jnp.exp(log_var))
        return (cross_entropy + kl) / len(x)

    return params, [(tuple(params), loss)]


def _reconstruct(params, x, key):
    return jnp.mean((x - apply(params["decoder"], apply(params["encoder"], x))) ** 2)


def _deep():
    rng = np.random.default_rng(0)
    units = (784, 1000, 500, 250, 30)
    params = {"encoder": dense(rng, *units), "decoder": dense(rng, *units[::-1])}
    return params, [(tuple(params), _reconstruct)]


def _adversarial():
    rng = np.random.default_rng(0)
    params = {
        "encoder": dense(rng, 784, 1000, 1000, 8),
        "decoder": dense(rng, 8, 1000, 1000, 784),
        "discriminator": dense(rng, 8, 1000, 1000, 1),
    }

    def discriminate(params, x, key):
        codes = apply(params["encoder"], x)
        real = apply(params["discriminator"], jax.random.normal(key, codes.shape))
        fake = apply(params["discriminator"], codes)
        return 0.5 * (_log_loss(real, 1) + _log_loss(fake, 0))

    def generate(params, x, key):
        return _log_loss(apply(params["discriminator"], apply(params["encoder"], x)), 1)

    phases = [
        (("encoder", "decoder"), _reconstruct),
        (("discriminator",), discriminate),
        (("encoder",), generate),
    ]
    return params, phases


_PHASES = {"dense_small": _vae, "dense_large": _deep, "adversarial": _adversarial}
