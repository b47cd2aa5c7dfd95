"""The adversarial family: what the discriminators do to codes and reconstructions."""

import keras
import numpy as np
import pytest
import tensorflow as tf

import autoencoders
from autoencoders import layers, losses, networks, priors
from autoencoders.distributions import divergences
from autoencoders.models.adversarial import VAEGAN
from autoencoders.models.variational import FactorVAE
from autoencoders.training import step


def _trained(name, x, labels=None, epochs=60, **arguments):
    """A model trained on whole batches: the last few rows would take a program of their own.

    Without XLA: in a run this short it saves less than it takes to compile.
    """
    x = x[: len(x) // 50 * 50]
    labels = None if labels is None else labels[: len(x)]
    keras.utils.set_random_seed(0)
    small = {"hidden_units": (64,), "discriminator_units": (64,)}
    model = autoencoders.get(name, input_shape=(8, 8, 1), **{**small, **arguments})
    model.compile(keras.optimizers.Adam(1e-3), jit_compile=False)
    model.fit(x, labels, batch_size=50, epochs=epochs, verbose=0)
    return model


@pytest.fixture(scope="module")
def towards_the_normal(digits):
    return _trained("aae_mlp", digits[0], latent_dim=2, epochs=100)


@pytest.mark.parametrize("prior", ["mixture", "swiss_roll"])
def test_codes_follow_any_prior(prior, digits, towards_the_normal):
    """Makhzani et al. (2015), figure 4: codes are distributed more like the prior that they were
    trained towards than those of a model with the normal prior are, by maximum mean discrepancy.
    """
    x, _ = digits
    draws = priors.get(prior).sample((2000, 2), seed=0)

    def distance(model):
        return float(divergences.squared_mmd(model.encode(x), draws, divergences.radial_basis))

    towards = _trained("aae_mlp", x, latent_dim=2, prior=prior, epochs=100)
    print(prior, distance(towards), distance(towards_the_normal))
    assert distance(towards) < 0.3 * distance(towards_the_normal)
    assert towards.sample(5, seed=0).shape == (5, 8, 8, 1)


def test_few_labels_make_a_classifier():
    """Section 5 of the paper: with 100 labels of 1,437 it classifies better than the same network
    that has seen those 100 rows alone.
    """
    (x, y), (test, test_labels) = autoencoders.datasets.digits()
    few = np.full(len(y), -1)
    few[:100] = y[:100]
    again = np.concatenate([np.repeat(np.arange(100), 5), np.arange(len(x))])
    model = _trained(
        *("semi_supervised_aae_mlp", x[again], few[again], 100),
        hidden_units=(128,),
        discriminator_units=(128,),
    )
    accuracy = (model.classify(test).argmax(axis=1) == test_labels).mean()

    keras.utils.set_random_seed(0)
    encoder, _ = networks.mlp((8, 8, 1), 10, (128,), code=False)
    head = keras.layers.Dense(10, activation="softmax")
    alone = keras.Sequential([encoder, head])
    # 300 epochs in one, which takes Keras a tenth of the time.
    alone.compile("adam", "sparse_categorical_crossentropy", steps_per_execution=100)
    alone.fit(np.tile(x[:100], (300, 1, 1, 1)), np.tile(y[:100], 300), batch_size=25, verbose=0)
    baseline = (alone(test).numpy().argmax(axis=1) == test_labels).mean()
    print(accuracy, baseline)
    assert accuracy > baseline + 0.02
    np.testing.assert_allclose(model.classify(test).sum(axis=1), 1.0, rtol=1e-5)
    with pytest.raises(ValueError, match=r"integers from 0 to 9 \(-1: none\)"):
        model.fit(x, np.full(len(x), 10), verbose=0)
    with pytest.raises(ValueError, match="integers from 0 to 9, one for each"):
        model.sample(4, labels=[1, 2])
    with pytest.raises(ValueError, match="got -1 to -1"):
        model.sample(4, labels=-1)
    pipeline = tf.data.Dataset.from_tensor_slices((x[:64], y[:64].astype("uint8"))).batch(32)
    model.evaluate(pipeline, verbose=0)
    model.evaluate(test[:320], verbose=0)  # without labels


@pytest.mark.parametrize(
    "compiled",
    [
        {"run_eagerly": True},
        {"jit_compile": False},
        pytest.param({"jit_compile": True}, marks=pytest.mark.thorough),
    ],
    ids=str,
)
def test_a_batch_without_labels_moves_nothing_by_them(compiled):
    """Adam goes on moving by its momentum where the gradient is 0, and counts a step."""
    small = {"hidden_units": (8,), "discriminator_units": (8,), "num_classes": 3}
    model = autoencoders.get("semi_supervised_aae_mlp", input_shape=(6,), **small)
    model.compile("adam", **compiled)
    x = np.random.default_rng(0).normal(size=(16, 6)).astype("float32")
    labels = np.repeat([0, 1, 2, -1], 4)
    model.fit(x, labels, batch_size=8, shuffle=False, verbose=0)
    optimizer = model.phase_optimizers["classification"]
    assert optimizer.iterations == 2
    none, weightless = np.full(16, -1), (labels < 0).astype("float32")
    momenta = [variable.numpy() for variable in optimizer.variables]
    model.fit(x, none, batch_size=8, verbose=0)
    for variable, old in zip(optimizer.variables, momenta, strict=True):
        np.testing.assert_array_equal(variable, old)
    assert model.phase_optimizers["generator"].iterations == 4
    before = model.get_weights()
    rows = tf.constant(x)
    for batch in (
        step.Batch(rows, rows, labels=tf.constant(none)),
        step.Batch(rows, rows, tf.constant(weightless), tf.constant(labels)),
    ):
        step.train(model.phases[-1:], model.phase_optimizers, batch)
    for weight, old in zip(model.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


def test_class_and_style_come_apart():
    """Section 4 of the paper: with a style of two units the class is what is drawn."""
    (x, y), _ = autoencoders.datasets.digits()
    model = _trained("semi_supervised_aae_mlp", x, y, 60, latent_dim=2)
    labels = np.repeat(np.arange(10), 20)
    drawn = model.sample(200, labels=labels, seed=0).reshape(200, -1)
    centres = np.stack([x[y == c].reshape(-1, 64).mean(axis=0) for c in range(10)])
    nearest = ((drawn[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    print((nearest == labels).mean())
    assert (nearest == labels).mean() > 0.8


@pytest.mark.thorough
def test_reconstructions_of_the_vae_gan_beat_the_mean_image(digits):
    x, test = digits
    keras.utils.set_random_seed(0)
    model = autoencoders.get("vae_gan_conv", input_shape=(8, 8, 1), filters=(16, 32))
    # Whole batches alone: the rest of the rows would take a program of its own.
    model.fit(x[:1408], batch_size=32, epochs=12, verbose=0)
    error = model.reconstruction_error(test).mean()
    mean = np.square(test - x.mean(axis=0)).mean()
    print(error, mean)
    assert error < 0.7 * mean
    assert model.sample(3, seed=0).shape == (3, 8, 8, 1)


def test_losses_of_the_vae_gan_by_hand():
    """Each term from the discriminator's own outputs, in NumPy, with a regularizer in each network.

    With a posterior of next to no variance, and a prior that is a point, nothing is random.
    """

    def flat(units, **arguments):
        regularizer = keras.regularizers.L2(0.1)
        return keras.layers.Dense(units, kernel_regularizer=regularizer, **arguments)

    encoder = keras.Sequential([keras.Input((6,)), flat(4, activation="tanh")])
    decoder = keras.Sequential([keras.Input((2,)), flat(6, activation="sigmoid")])
    inputs = keras.Input((6,))
    features = flat(5, activation="tanh")(inputs)
    discriminator = keras.Model(inputs, [features, flat(1)(features)])
    point = priors.GaussianMixture([1.0], [[0.3, -0.2]], [1e-12 * np.eye(2)])
    bottleneck = layers.GaussianBottleneck(2, prior=point)
    model = VAEGAN(encoder, decoder, bottleneck=bottleneck, discriminator=discriminator, gamma=0.7)
    model.compile("adam")
    bottleneck.log_variance.kernel.assign(np.zeros((4, 2)))
    bottleneck.log_variance.bias.assign([-40.0, -40.0])
    x = np.random.default_rng(0).uniform(size=(8, 6)).astype("float32")
    logs = model.evaluate(x, batch_size=8, verbose=0, return_dict=True)

    def run(rows):
        return [np.asarray(part, "float64") for part in discriminator(rows)]

    drawn = np.asarray(decoder(np.full((8, 2), [0.3, -0.2], "float32")))
    (real_features, real), (fake_features, fake), (_, generated) = (
        run(rows) for rows in (x, model.predict(x, verbose=0), drawn)
    )

    def minus_log(p):
        return -np.log(p).mean()

    def sigmoid(v):
        return 1.0 / (1.0 + np.exp(-v))

    distance = 0.5 * np.square(real_features - fake_features).sum(axis=1).mean()
    expected = {
        "reconstruction_loss": distance,
        "similarity_loss": 0.7 * distance,
        "generator_loss": minus_log(sigmoid(fake)) + minus_log(sigmoid(generated)),
        "discriminator_loss": minus_log(sigmoid(real))
        + minus_log(1 - sigmoid(fake))
        + minus_log(1 - sigmoid(generated)),
        "regularization_loss": sum(map(float, encoder.losses)),
        "decoder_regularization_loss": sum(map(float, decoder.losses)),
        "discriminator_regularization_loss": sum(map(float, discriminator.losses)),
    }
    for term, value in expected.items():
        assert logs[term] == pytest.approx(value, rel=1e-3), term
    with pytest.raises(ValueError, match="measured by its discriminator"):
        model.compile("adam", loss="mae")


def test_the_discriminator_estimates_the_total_correlation():
    """Kim & Mnih (2018): the mean logit of the optimal discriminator is the total correlation, here
    that of a correlated normal, −½ log(1 − r²).
    """
    r = 0.9
    rng = np.random.default_rng(0)
    x = rng.multivariate_normal([0, 0], [[1, r], [r, 1]], size=24_000).astype("float32")
    x, test = x[:20_000], x[20_000:]
    encoder = keras.Sequential([keras.Input((2,)), keras.layers.Identity()])
    _, decoder = networks.mlp((2,), 2)
    keras.utils.set_random_seed(0)
    model = FactorVAE(
        encoder,
        decoder,
        gamma=1.0,
        bottleneck=layers.GaussianBottleneck(2),
        discriminator=networks.discriminator(2, (64, 64)),
        likelihood=losses.Gaussian(),
    )
    model.build((None, 2))
    # Codes that are the rows themselves, with next to no noise.
    zero = np.zeros((2, 2), "float32")
    model.bottleneck.set_weights([np.eye(2), np.zeros(2), zero, np.full(2, -12.0)])
    model.bottleneck.trainable = False
    model.compile("adam", phase_optimizers={"discriminator": keras.optimizers.Adam(2e-3)})
    model.fit(x, batch_size=500, epochs=20, verbose=0)
    logs = model.evaluate(test, batch_size=4000, verbose=0, return_dict=True)
    assert logs["total_correlation_loss"] == pytest.approx(-0.5 * np.log(1 - r**2), rel=0.1)
