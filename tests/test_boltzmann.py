"""Restricted Boltzmann machines, small enough to enumerate all their states."""

import itertools

import keras
import numpy as np
import pytest
import tensorflow as tf

import autoencoders
from autoencoders.models.stacked import RestrictedBoltzmannMachine
from autoencoders.training.step import Batch

V, H = (np.array(list(itertools.product((0.0, 1.0), repeat=units)), "float32") for units in (4, 3))
DATA = V[[3, 3, 5, 9, 14]]


def machine(visible_units=4, hidden_units=3, scale=1.0, **arguments):
    model = RestrictedBoltzmannMachine(visible_units, hidden_units, **arguments)
    model.build((None, visible_units))
    rng = np.random.default_rng(1)
    model.set_weights([rng.normal(0, scale, w.shape) for w in model.get_weights()])
    model.compile("sgd")
    return model


def joint(parameters):
    """p(v, h) of binary units as a table, from its definition alone."""
    kernel, a, b = parameters
    energies = [[-(v @ a) - (h @ b) - v @ kernel @ h for h in H] for v in V]
    table = np.exp(-np.array(energies, "float64"))
    return table / table.sum()


def parameters_of(model):
    return [np.asarray(w, "float64") for w in (model.kernel, model.visible_bias, model.hidden_bias)]


def test_conditionals_and_free_energy_are_those_of_the_joint_distribution():
    model = machine()
    table = joint(parameters_of(model))
    p_v, p_h = table.sum(axis=1), table.sum(axis=0)
    np.testing.assert_allclose(model.hidden_mean(V), table @ H / p_v[:, None], atol=1e-6)
    np.testing.assert_allclose(model.visible_mean(H), table.T @ V / p_h[:, None], atol=1e-6)
    free = np.exp(-np.asarray(model.free_energy(V), "float64"))
    np.testing.assert_allclose(free / free.sum(), p_v, rtol=1e-5)
    pairs = np.repeat(V, len(H), axis=0), np.tile(H, (len(V), 1))
    boltzmann = np.exp(-np.asarray(model.energy(*pairs), "float64")).reshape(table.shape)
    np.testing.assert_allclose(boltzmann / boltzmann.sum(), table, rtol=1e-5)


@pytest.mark.parametrize("hidden", ["binary", "gaussian"])
@pytest.mark.parametrize("visible", ["binary", "gaussian"])
def test_gaussian_units_against_integration(visible, hidden):
    grid = np.linspace(-14, 14, 2801, dtype="float32")[:, None]
    states = {"binary": np.array([[0.0], [1.0]], "float32"), "gaussian": grid}
    v, h = states[visible], states[hidden]
    model = machine(1, 1, visible=visible, hidden=hidden)
    model.set_weights([np.array(w) for w in ([[0.6]], [0.3], [-0.4])])
    a, b, w = 0.3, -0.4, 0.6
    own = {"binary": lambda s, c: -c * s, "gaussian": lambda s, c: 0.5 * (s - c) ** 2}
    energies = own[visible](v, a) + own[hidden](h, b).T - w * v * h.T
    table = np.exp(-energies.astype("float64"))
    few = slice(None) if visible == "binary" else slice(1200, 1600, 100)
    mean = (table @ h / table.sum(axis=1, keepdims=True))[few]
    np.testing.assert_allclose(model.hidden_mean(v[few]), mean, atol=1e-3)
    expected = -np.log(table.sum(axis=1))[few]
    free = np.asarray(model.free_energy(v[few]))
    np.testing.assert_allclose(free - free[0], expected - expected[0], atol=1e-3)
    few = slice(None) if hidden == "binary" else slice(1200, 1600, 100)
    mean = (table.T @ v / table.sum(axis=0)[:, None])[few]
    np.testing.assert_allclose(model.visible_mean(h[few]), mean, atol=1e-3)


def gradients(model, batches=60, copies=300):
    """Gradients of the loss on batches of many chains from DATA: `(batches, parameters)`."""
    x = tf.constant(np.tile(DATA, (copies, 1)))
    (phase,) = model.phases
    wanted = [v.value for v in (model.kernel, model.visible_bias, model.hidden_bias)]

    @tf.function
    def gradient():
        with tf.GradientTape() as tape:
            tape.watch(wanted)
            loss = tf.reduce_mean(phase.loss(Batch(x, x), True)["contrastive_divergence_loss"])
        return tf.concat([tf.reshape(g, [-1]) for g in tape.gradient(loss, wanted)], axis=0)

    return np.array([gradient().numpy() for _ in range(batches)])


def assert_mean(samples, expected):
    """The samples' mean is the expected one, to within five standard errors."""
    error = samples.std(axis=0, ddof=1) / np.sqrt(len(samples))
    assert (np.abs(samples.mean(axis=0) - expected) < 5 * error + 1e-6).all()
    assert error.max() < 0.005  # or it would say nothing


def statistics(p, v, h_mean):
    """⟨vhᵀ⟩, ⟨v⟩ and ⟨h⟩ under the weights p of the rows, as one vector."""
    kernel = np.einsum("n,ni,nj->ij", p, v, h_mean)
    return np.concatenate([kernel.ravel(), p @ v, p @ h_mean])


@pytest.mark.parametrize("sample_visible", [True, False])
@pytest.mark.parametrize("steps", [1, 2])
def test_the_gradient_is_the_statistic_of_contrastive_divergence(steps, sample_visible):
    """Expected over all chains, whose transitions are enumerated."""
    model = machine(cd_steps=steps, sample_visible=sample_visible, seed=0)
    kernel, a, b = parameters_of(model)

    def sigmoid(drive):
        return 1 / (1 + np.exp(-drive))

    def probabilities(mean, states):
        return np.prod(np.where(states[None] == 1, mean[:, None], 1 - mean[:, None]), axis=-1)

    p, v = np.full(len(DATA), 1 / len(DATA)), DATA.astype("float64")
    before = statistics(p, v, sigmoid(v @ kernel + b))
    for _ in range(steps):
        p = p @ probabilities(sigmoid(v @ kernel + b), H)  # of each hidden state
        mean = sigmoid(H @ kernel.T + a)
        if sample_visible:
            p, v = p @ probabilities(mean, V), V
        else:
            v = mean
    after = statistics(p, v, sigmoid(v @ kernel + b))
    assert_mean(gradients(model), after - before)


def test_long_chains_give_the_gradient_of_the_likelihood():
    """Against finite differences of the likelihood, by enumeration of all states."""
    model = machine(scale=2.0, cd_steps=60, sample_visible=True, seed=0)
    parameters = parameters_of(model)
    rows = [int(np.flatnonzero((row == V).all(axis=1))[0]) for row in DATA]

    def loss(flat):
        split = np.split(flat, [12, 16])
        p_v = joint([split[0].reshape(4, 3), *split[1:]]).sum(axis=1)
        return -np.log(p_v[rows]).mean()

    flat = np.concatenate([p.ravel() for p in parameters])
    steps = 1e-5 * np.eye(len(flat))
    expected = np.array([(loss(flat + step) - loss(flat - step)) / 2e-5 for step in steps])
    assert_mean(gradients(model), expected)
    # One step is cheaper, and biased: the check above would notice.
    short = gradients(machine(scale=2.0, sample_visible=True, seed=0)).mean(axis=0)
    print(f"bias of CD-1: {np.abs(short - expected).max():.3f}")
    assert np.abs(short - expected).max() > 0.05


def test_gaussian_units_are_sampled_with_unit_variance():
    model = machine(2, 3, visible="gaussian", hidden="gaussian", sample_visible=True, seed=0)
    model.kernel.assign(np.zeros((2, 3)))
    v, _ = model.gibbs_chain(np.zeros((20000, 3), "float32"))
    np.testing.assert_allclose(np.mean(v, axis=0), model.visible_bias, atol=0.03)
    np.testing.assert_allclose(np.var(v, axis=0), 1.0, atol=0.05)


def test_a_machine_learns_a_distribution():
    model = RestrictedBoltzmannMachine(4, 6, cd_steps=5, sample_visible=True, seed=0)
    model.compile(keras.optimizers.SGD(0.3, momentum=0.5))
    rows = np.tile(V[[3, 12]], (50, 1))
    model.fit(rows, batch_size=100, epochs=400, verbose=0)
    p = np.exp(-np.asarray(model.free_energy(V)))
    p /= p.sum()
    print(f"probability of the two patterns: {p[3]:.3f}, {p[12]:.3f}")
    assert p[3] > 0.3
    assert p[12] > 0.3


def test_a_machine_is_saved_with_its_state(tmp_path):
    rows = np.tile(DATA, (8, 1))
    model = RestrictedBoltzmannMachine(4, 3, weight_decay=0.01)
    model.compile(keras.optimizers.SGD(0.1, momentum=0.5))
    model.fit(rows, epochs=2, verbose=0)
    model.save(tmp_path / "machine.keras")
    loaded = autoencoders.load(tmp_path / "machine.keras")
    for each in (model, loaded):
        history = each.fit(rows, epochs=4, initial_epoch=2, verbose=0).history
    terms = {"contrastive_divergence_loss", "weight_decay_loss"}
    assert set(history) == {"loss", "reconstruction_error", *terms}
    for ours, theirs in zip(model.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_what_a_machine_refuses():
    with pytest.raises(ValueError, match="Did you mean 'gaussian'"):
        RestrictedBoltzmannMachine(4, 3, visible="gausian")
    with pytest.raises(ValueError, match="`cd_steps` must be"):
        RestrictedBoltzmannMachine(4, 3, cd_steps=0)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\]"):
        machine().fit(2 * DATA, verbose=0)
