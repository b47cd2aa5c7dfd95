"""Codebooks, relaxed categories and the densities that are fitted to codes, against NumPy."""

import itertools
import subprocess
import sys
from functools import cache

import keras
import numpy as np
import pytest
import scipy.special
import scipy.stats
import tensorflow as tf
from keras import ops

import autoencoders
from autoencoders import datasets, layers, networks, priors
from autoencoders.distributions import divergences
from autoencoders.distributions.pixelcnn import PixelCNN
from autoencoders.layers.schedule import ScheduledBottleneck
from autoencoders.training import step
from tests.checks import drawn_in_training
from tests.kept.facts import eagerly

RNG = np.random.default_rng(0)


def _quantizer(features, num_codes=5, code_dim=3, scale=1.0, **arguments):
    """A quantizer built for these features, with a codebook spread over the same space."""
    quantizer = layers.VectorQuantizer(num_codes, code_dim, **arguments)
    quantizer.build(features.shape)
    codebook = RNG.normal(scale=scale, size=(num_codes, code_dim)).astype("float32")
    quantizer.codebook.assign(codebook)
    if quantizer.decay is not None:
        quantizer.sums.assign(codebook)
    return quantizer, codebook


def _features(*shape):
    return RNG.normal(size=shape).astype("float32")


def _nearest(features, codebook):
    """The number of the nearest code, by looking at every one."""
    distances = np.square(features[..., None, :] - codebook).sum(axis=-1)
    return distances.argmin(axis=-1)


# Vector quantisation ------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [(40, 3), (4, 6, 3), (4, 5, 2, 3)])
def test_codes_are_the_nearest_by_brute_force(shape):
    features = _features(*shape)
    quantizer, codebook = _quantizer(features, num_codes=11)
    expected = _nearest(features.astype("float64"), codebook)
    np.testing.assert_array_equal(quantizer.indices(features), expected)
    np.testing.assert_array_equal(quantizer(features), codebook[expected])
    np.testing.assert_array_equal(quantizer.lookup(expected), codebook[expected])
    for training in (False, True):
        np.testing.assert_array_equal(quantizer.draw(features, training)[0], codebook[expected])


@pytest.mark.parametrize("compiled", [None, False, True])
def test_of_codes_that_are_as_near_the_first_is_taken(compiled):
    features = RNG.integers(0, 2, size=(200, 3)).astype("float32")
    quantizer, _ = _quantizer(features, num_codes=12)
    codebook = RNG.integers(0, 2, size=(12, 3)).astype("float32")  # There are but eight of these.
    quantizer.codebook.assign(codebook)
    indices = quantizer.indices
    if compiled is not None:
        indices = tf.function(indices, jit_compile=compiled)
    found = indices(tf.constant(features)).numpy()
    np.testing.assert_array_equal(found, _nearest(features, codebook))
    assert found.dtype == np.int32


@pytest.mark.parametrize("make", [layers.VectorQuantizer, layers.GumbelSoftmax])
def test_codes_are_found_by_operations_that_other_formats_have(make):
    """Neither ONNX nor LiteRT alone has those that Keras's `argmax` of floating-point numbers uses,
    which are meant to look at the sign of a zero.
    """
    bottleneck = make(5, 3)
    bottleneck.build((None, 4, 3))
    rows = tf.TensorSpec((None, 4, 3))
    graph = tf.function(lambda x: bottleneck(x)).get_concrete_function(rows).graph
    operations = {operation.type for operation in graph.get_operations()}
    assert "TopKV2" in operations
    assert not operations & {"ArgMin", "ArgMax", "Bitcast", "BitwiseAnd"}


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "mixed_float16", "float64"])
@pytest.mark.parametrize(
    "make",
    [
        lambda dtype: layers.VectorQuantizer(4, 3, revive=0.5, dtype=dtype),
        lambda dtype: layers.VectorQuantizer(4, 3, decay=None, dtype=dtype),
        lambda dtype: layers.GumbelSoftmax(4, 3, warm_up=9000, anneal_steps=9000, dtype=dtype),
        lambda dtype: layers.GaussianBottleneck(2, warm_up=9000, dtype=dtype),
        lambda dtype: layers.GaussianBottleneck(2, capacity=3.0, capacity_steps=9000, dtype=dtype),
    ],
    ids=["averaged", "trained", "relaxed", "warmed", "capacity"],
)
def test_what_training_counts_is_precise_at_any_precision(make, dtype):
    """In half precision 2,048 + 1 is 2,048, and a hundredth of a batch is lost in an average."""
    bottleneck = make(dtype)
    bottleneck.build((None, 3))
    wide = "float64" if dtype == "float64" else "float32"
    steps = isinstance(bottleneck, ScheduledBottleneck)
    counted = bottleneck.steps if steps else bottleneck.counts
    assert counted.dtype == wide
    counted.assign(ops.full(counted.shape, 4096.0))
    features = tf.constant(_features(8, 3), bottleneck.compute_dtype)
    train = tf.function(lambda x: drawn_in_training(bottleneck, x).terms)  # numbers are tensors
    terms = train(features)
    assert all(np.isfinite(np.asarray(value, "float64")).all() for value in terms.values())
    if steps:
        assert float(counted) == 4097.0
    else:
        assert float(ops.sum(counted)) == pytest.approx(0.99 * 4 * 4096, rel=3e-3)


def test_features_of_another_size_are_mapped_place_by_place():
    features = _features(4, 5, 2, 7)
    quantizer, codebook = _quantizer(features)
    kernel, bias = (np.asarray(weight) for weight in quantizer.projection.weights)
    np.testing.assert_array_equal(
        quantizer.indices(features), _nearest(features @ kernel + bias, codebook)
    )
    assert quantizer(features).shape == quantizer.compute_output_shape(features.shape)


def test_the_encoder_gets_the_decoders_gradient():
    features = tf.constant(_features(8, 4, 3))
    quantizer, _ = _quantizer(features)
    weight = tf.constant(_features(4, 3))

    def decoder_loss(code):
        return tf.reduce_sum(tf.sin(code) * weight)

    with tf.GradientTape() as tape:
        tape.watch(features)
        loss = decoder_loss(quantizer.draw(features, False)[0])
    code = tf.constant(quantizer(features))
    with tf.GradientTape() as direct:
        direct.watch(code)
        expected = decoder_loss(code)
    np.testing.assert_array_equal(tape.gradient(loss, features), direct.gradient(expected, code))


def test_commitment_and_codebook_loss():
    features = tf.constant(_features(6, 4, 3))
    quantizer, codebook = _quantizer(features, commitment=0.4, decay=None, revive=None)
    squares = np.square(features - codebook[_nearest(features.numpy(), codebook)])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch(features)
        values = quantizer.draw(features, True)[1]
        terms = {name: tf.reduce_sum(values[name]) for name in quantizer.loss_terms}
    expected = squares.sum(axis=(1, 2))
    np.testing.assert_allclose(values["codebook_loss"], expected, rtol=1e-5)
    np.testing.assert_allclose(values["commitment_loss"], 0.4 * expected, rtol=1e-5)
    # Each moves its own side alone.
    codebook = quantizer.codebook.value
    assert tape.gradient(terms["commitment_loss"], codebook) is None
    assert tape.gradient(terms["codebook_loss"], features) is None
    assert tape.gradient(terms["commitment_loss"], features) is not None
    assert tape.gradient(terms["codebook_loss"], codebook) is not None


def test_perplexity_is_the_exponential_of_the_entropy():
    features = _features(30, 4, 3)
    quantizer, codebook = _quantizer(features, num_codes=7)
    share = np.bincount(_nearest(features, codebook).ravel(), minlength=7) / 120
    actual = quantizer.draw(features, False)[1]["perplexity"]
    assert float(actual) == pytest.approx(np.exp(scipy.stats.entropy(share)), rel=1e-5)
    assert 1.0 < float(actual) < 7.0
    same = np.repeat(features[:1, :1], 9, axis=0)
    assert float(quantizer.draw(same, False)[1]["perplexity"]) == pytest.approx(1.0)


def test_moving_averages_against_numpy():
    decay, steps, smoothing = 0.9, 20, 1e-5
    features = _features(steps, 16, 3, 3)
    quantizer, codebook = _quantizer(features[0], decay=decay, revive=None)
    counts, sums = np.ones(5), codebook.astype("float64")
    codebook = codebook.astype("float64")
    for batch in features:
        rows = batch.reshape(-1, 3)
        nearest = _nearest(rows, codebook)
        for k in range(5):
            own = rows[nearest == k]
            counts[k] = decay * counts[k] + (1 - decay) * len(own)
            sums[k] = decay * sums[k] + (1 - decay) * own.sum(axis=0)
        total = counts.sum()
        smoothed = (counts + smoothing) / (total + 5 * smoothing) * total
        codebook = sums / smoothed[:, None]
        drawn_in_training(quantizer, batch)
    np.testing.assert_allclose(quantizer.counts, counts, rtol=1e-4)
    np.testing.assert_allclose(quantizer.codebook, codebook, rtol=1e-4, atol=1e-5)


def test_a_moving_average_is_a_gradient_step():
    """With N_k features at each code in every batch of B rows, −η ∂/∂e of the codebook loss is the
    moving average's step where 2 η N_k / B = 1 − decay.
    """
    codebook = 10.0 * np.eye(3, dtype="float32")
    batch = np.repeat(codebook, 4, axis=0) + _features(12, 3)
    average, _ = _quantizer(batch, num_codes=3, decay=0.9, revive=None)
    trained, _ = _quantizer(batch, num_codes=3, decay=None, revive=None)
    average.counts.assign([4.0, 4.0, 4.0])  # as after many such batches
    average.sums.assign(4.0 * codebook)
    for quantizer in (average, trained):
        quantizer.codebook.assign(codebook)
    drawn_in_training(average, batch)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(trained.draw(batch, True)[1]["codebook_loss"])
    optimizer = keras.optimizers.SGD(0.1 / (2 * 4 / 12))
    variables = trained.trainable_variables
    optimizer.apply(tape.gradient(loss, [v.value for v in variables]), variables)
    assert np.abs(np.asarray(trained.codebook) - codebook).max() > 0.01
    np.testing.assert_allclose(average.codebook, trained.codebook, rtol=1e-4, atol=1e-4)


def test_evaluation_leaves_the_codebook_alone():
    features = _features(12, 3)
    quantizer, _ = _quantizer(features)
    before = quantizer.get_weights()
    state = np.asarray(quantizer.seed_generator.state)
    quantizer.draw(features, False)
    quantizer(features)
    for old, new in zip(before, quantizer.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)
    np.testing.assert_array_equal(state, quantizer.seed_generator.state)


def test_dead_codes_start_again_at_features_of_the_batch():
    features = _features(50, 3)
    quantizer, codebook = _quantizer(features, num_codes=6, decay=0.5, revive=0.1)
    quantizer.codebook.assign(np.where(np.arange(6)[:, None] < 2, codebook, 1e3))
    quantizer.sums.assign(quantizer.codebook)
    # Their count is 1 at first and halved in each step, 1/2 and 1/4; a tenth of the mean, which
    # nears 50 features for 6 codes, is 0.47 and 0.65.
    drawn_in_training(quantizer, features)
    assert (np.asarray(quantizer.codebook)[2:] > 900.0).all()
    drawn_in_training(quantizer, features)
    revived = np.asarray(quantizer.codebook)[2:]
    assert np.square(revived[:, None] - features).sum(axis=-1).min(axis=1).max() < 1e-10
    assert len(np.unique(revived[:, 0])) > 1


@pytest.mark.parametrize("decay", [0.9, None], ids=["averages", "gradient"])
@pytest.mark.parametrize("collapse", ["equal", "far"])
def test_a_collapsed_codebook_recovers_by_revival_alone(digits, decay, collapse):
    test = tf.constant(digits[1])
    perplexity = {}
    for revive in (0.1, None):
        keras.utils.set_random_seed(0)
        model = autoencoders.get(
            "vq_vae_conv",
            input_shape=(8, 8, 1),
            filters=(8, 16),
            num_codes=32,
            code_dim=4,
            decay=decay,
            revive=revive,
        )
        bottleneck = model.bottleneck
        codebook = np.full((32, 4), 0.5, "float32")
        if collapse == "far":  # one code in reach
            codebook += 100.0 * (np.arange(32)[:, None] > 0)
        bottleneck.codebook.assign(codebook)
        if decay is not None:
            bottleneck.sums.assign(codebook)
        before = step.evaluate(model.phases, step.Batch(test, test))
        model.fit(digits[0], batch_size=32, epochs=4, verbose=0)
        after = step.evaluate(model.phases, step.Batch(test, test))
        assert float(before["perplexity"]) == pytest.approx(1.0)
        perplexity[revive] = float(after["perplexity"])
    print(f"perplexity of 32 codes, with and without revival: {perplexity}")
    assert perplexity[0.1] > 12.0
    assert perplexity[None] < 5.0


# Relaxed categories -------------------------------------------------------------------------------


def _categorical(logits, **arguments):
    bottleneck = layers.GumbelSoftmax(logits.shape[-1], **arguments)
    bottleneck.build(logits.shape)
    return bottleneck


def test_gumbel_samples_have_the_categories_frequencies():
    probabilities = np.array([0.5, 0.25, 0.15, 0.1])
    logits = np.tile(np.log(probabilities).astype("float32"), (40_000, 1))
    error = 4 * np.sqrt(0.25 / len(logits))
    relaxed, *_ = _categorical(logits, temperature=0.7).draw(logits, True)
    relaxed = np.asarray(relaxed)
    np.testing.assert_allclose(relaxed.sum(axis=-1), 1.0, rtol=1e-5)
    assert ((relaxed > 0.01) & (relaxed < 0.99)).any()
    # Whatever the temperature, the largest is distributed as the category.
    share = np.bincount(relaxed.argmax(axis=-1)) / len(logits)
    np.testing.assert_allclose(share, probabilities, atol=error)
    evaluated = np.asarray(_categorical(logits).draw(logits, False)[0])
    assert set(np.unique(evaluated)) == {0.0, 1.0}
    np.testing.assert_allclose(evaluated.mean(axis=0), probabilities, atol=error)


def test_samples_near_one_hot_as_the_temperature_falls():
    logits = _features(2000, 6)
    largest = [
        np.asarray(_categorical(logits, temperature=t, seed=3).draw(logits, True)[0]).max(axis=-1)
        for t in (10.0, 1.0, 0.1, 0.01)
    ]
    means = [values.mean() for values in largest]
    assert means == sorted(means)
    assert means[0] < 0.3
    assert means[-1] > 0.98


def test_straight_through_is_a_category_with_the_relaxed_gradient():
    logits = tf.constant(_features(64, 6))
    weight = tf.constant(_features(64, 6))
    gradients = []
    for straight_through in (False, True):
        bottleneck = _categorical(logits, straight_through=straight_through, seed=1)
        with tf.GradientTape() as tape:
            tape.watch(logits)
            code, *_ = bottleneck.draw(logits, True)
            loss = tf.reduce_sum(code * weight)
        gradients.append(tape.gradient(loss, logits))
    np.testing.assert_allclose(np.sort(code, axis=-1)[:, -1], 1.0, rtol=1e-6)
    np.testing.assert_allclose(np.sort(code, axis=-1)[:, :-1], 0.0, atol=1e-6)
    np.testing.assert_allclose(gradients[0], gradients[1], rtol=1e-4, atol=1e-6)


def test_kl_to_uniform_against_numpy():
    logits = _features(5, 3, 2, 7)
    p = scipy.special.softmax(logits.astype("float64"), axis=-1)
    expected = (p * np.log(p * 7)).sum(axis=(1, 2, 3))
    bottleneck = _categorical(logits, beta=2.5)
    values = bottleneck.draw(logits, True)[1]
    np.testing.assert_allclose(values["kl_loss"], 2.5 * expected, rtol=1e-4)
    np.testing.assert_allclose(
        ops.sum(divergences.categorical_kl(ops.log_softmax(logits)), axis=(1, 2)),
        expected,
        rtol=1e-4,
    )
    share = np.bincount(p.argmax(axis=-1).ravel(), minlength=7) / 30
    perplexity = np.exp(scipy.stats.entropy(share))
    assert float(values["perplexity"]) == pytest.approx(perplexity, rel=1e-5)


def test_a_codebook_gives_its_mean_under_the_sample():
    logits = _features(9, 4, 5)
    with_codebook = _categorical(logits, code_dim=3, seed=2)
    sample = np.asarray(_categorical(logits, seed=2).draw(logits, True)[0])
    codebook = np.asarray(with_codebook.codebook)
    np.testing.assert_allclose(with_codebook.draw(logits, True)[0], sample @ codebook, rtol=1e-4)
    np.testing.assert_array_equal(with_codebook(logits), codebook[logits.argmax(axis=-1)])
    one_hot = _categorical(logits)(logits)
    np.testing.assert_array_equal(one_hot, np.eye(5)[logits.argmax(axis=-1)])


def test_temperature_and_weight_follow_their_schedules():
    logits = _features(4, 6)
    bottleneck = _categorical(
        logits, temperature=2.0, min_temperature=0.5, anneal_steps=4, warm_up=2
    )
    temperatures, weights = [], []
    whole = np.asarray(bottleneck.draw(logits, False)[1]["kl_loss"])
    for _ in range(6):
        temperatures.append(float(bottleneck.current_temperature()))
        bottleneck.draw(logits, False)  # which counts no step
        weights.append(
            np.asarray(drawn_in_training(bottleneck, logits).terms["kl_loss"])[0] / whole[0]
        )
    expected = [2.0 * 0.25 ** (step / 4) for step in range(5)] + [0.5]
    np.testing.assert_allclose(temperatures, expected, rtol=1e-5)
    np.testing.assert_allclose(weights, [0.0, 0.5, 1.0, 1.0, 1.0, 1.0], rtol=1e-4)


def test_the_schedule_is_saved_and_resumed(digits, tmp_path):
    model = _small("dvae_mlp", anneal_steps=100)
    with eagerly():
        model.fit(digits[0][:96], batch_size=32, epochs=3, verbose=0)
        model.evaluate(digits[1], batch_size=360, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = autoencoders.load(tmp_path / "model.keras")
    assert float(loaded.bottleneck.steps) == 9.0
    expected = 0.5 ** (9 / 100)
    assert float(loaded.bottleneck.current_temperature()) == pytest.approx(expected, rel=1e-5)


def test_arguments_of_discrete_bottlenecks():
    with pytest.raises(ValueError, match="`num_codes` must be a positive integer, got 0"):
        layers.VectorQuantizer(0, 4)
    with pytest.raises(ValueError, match="`code_dim` must be a positive integer, got 'a'"):
        layers.GumbelSoftmax(4, "a")
    with pytest.raises(ValueError, match="`decay` must be from 0 to below 1"):
        layers.VectorQuantizer(4, 4, decay=1.0)
    with pytest.raises(ValueError, match="`revive` must be from 0 to below 1"):
        layers.VectorQuantizer(4, 4, revive=2)
    with pytest.raises(ValueError, match="`temperature` must be positive"):
        layers.GumbelSoftmax(4, temperature=0.0)


# Models -------------------------------------------------------------------------------------------


def _small(name, **arguments):
    sizes = {
        "ae_mlp": {"latent_dim": 8, "hidden_units": (64,)},
        "vq_vae_conv": {"filters": (8, 16), "num_codes": 8, "code_dim": 4},
        "dvae_mlp": {"hidden_units": (32,), "num_codes": 8, "latent_dim": 4, "code_dim": 4},
        "dvae_conv": {"filters": (8, 16), "num_codes": 8, "code_dim": 4},
    }[name]
    return autoencoders.get(name, **{"input_shape": (8, 8, 1), **sizes, **arguments})


def test_the_categorical_autoencoder_of_jang_et_al():
    """784-(20×10)-200-784, its logits right from the input and no codebook."""
    model = autoencoders.get(
        "dvae_mlp",
        latent_dim=20,
        num_codes=10,
        code_dim=None,
        hidden_units=(),
        decoder_units=(200,),
    )
    assert model.latent_shape == (20, 10)
    dense = [785 * 200, 201 * 200, 201 * 784]
    assert sum(weight.shape.num_elements() for weight in model.trainable_variables) == sum(dense)


def test_dalles_vocabulary_is_the_default():
    for name in ("dvae_mlp", "dvae_conv"):
        assert autoencoders.get(name).bottleneck.num_codes == 8192


@pytest.mark.parametrize("name", ["vq_vae_conv", "dvae_mlp", "dvae_conv"])
def test_your_own_networks_drop_in(name, digits):
    encoder = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            keras.layers.Conv2D(6, 4, strides=4),
            keras.layers.Reshape((4, 6)),
        ]
    )
    decoder = keras.Sequential(
        [
            keras.Input((4, 4)),
            keras.layers.Flatten(),
            keras.layers.Dense(64),
            keras.layers.Reshape((8, 8, 1)),
        ]
    )
    model = _small(name, encoder=encoder, decoder=decoder)
    with eagerly():
        model.fit(digits[0][:64], verbose=0)
        assert model.latent_shape == (4, 4)
        assert model.predict(digits[1], batch_size=360, verbose=0).shape == digits[1].shape


@pytest.mark.parametrize("name", ["vq_vae_conv", "dvae_mlp"])
@pytest.mark.parametrize(
    "compiled", [{"jit_compile": True}, {"run_eagerly": True}, {"steps_per_execution": 2}], ids=str
)
def test_every_loop_trains_alike(name, compiled):
    """XLA draws other noise, so there it is only the same within noise."""
    expected = _last_loss(name, jit_compile=False)
    assert _last_loss(name, **compiled) == pytest.approx(expected, rel=0.03)


@cache
def _last_loss(name, **compiled):
    keras.utils.set_random_seed(0)
    # Adam and a second convolution would be most of the programs, and are none of the bottleneck's.
    arguments, rate = {"vq_vae_conv": ({"filters": (8,)}, 0.005), "dvae_mlp": ({}, 0.03)}[name]
    model = _small(name, **arguments)
    model.compile(keras.optimizers.SGD(rate), **compiled)
    x = datasets.digits()[0][0][:128]
    return model.fit(x, batch_size=32, epochs=4, verbose=0).history["loss"][-1]


def test_replicas_keep_one_codebook():
    """Averaged or trained, revived at places of one replica, even where another has no rows.

    Two replicas make the averages that one makes of the same batches.
    """
    code = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import autoencoders
from autoencoders import layers, networks
from tests.checks import drawn_in_training
x = np.random.default_rng(0).normal(size=(33, 6)).astype("float32")
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
for bottleneck in (
    lambda: layers.VectorQuantizer(8, 3, decay=0.5, revive=0.9),
    lambda: layers.VectorQuantizer(8, 3, decay=None, revive=0.9),
    lambda: layers.GumbelSoftmax(8, 3, anneal_steps=10),
):
    with strategy.scope():
        model = autoencoders.Autoencoder(*networks.mlp((6,), 3), bottleneck=bottleneck())
        model.compile(keras.optimizers.SGD(0.1))
    before = model.bottleneck.codebook.numpy()
    history = model.fit(x, batch_size=16, epochs=2, verbose=0).history
    assert np.isfinite(list(history.values())).all(), history
    assert np.abs(model.bottleneck.codebook.numpy() - before).max() > 1e-4
    for variable in model.bottleneck.variables:
        first, second = (part.numpy() for part in variable.value.values)
        np.testing.assert_array_equal(first, second, err_msg=variable.name)
def averages(scope, batch):
    with scope:
        quantizer = layers.VectorQuantizer(4, 6, decay=0.5, revive=None)
        quantizer.build((None, 6))
    quantizer.codebook.assign(x[:4])
    quantizer.sums.assign(x[:4])
    for rows in np.split(x[:32], 2):
        strategy.run(drawn_in_training, args=(quantizer, batch(rows)))
    return [np.asarray(variable) for variable in (quantizer.counts, quantizer.codebook)]
def halves(rows):
    parts = np.split(rows, 2)
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant(parts[context.replica_id_in_sync_group])
    )
together = averages(strategy.scope(), halves)
strategy = tf.distribute.get_strategy()  # from here on one replica alone
alone = averages(strategy.scope(), tf.constant)
assert alone[0].sum() == 0.25 * 4 + 0.75 * 16
for ours, theirs in zip(together, alone):
    np.testing.assert_allclose(ours, theirs, rtol=1e-5)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


# An autoregressive prior --------------------------------------------------------------------------


def _pixelcnn(places, num_codes, **arguments):
    """One with large weights, so that what it sees shows."""
    prior = PixelCNN(places, num_codes, filters=8, blocks=2, **arguments)
    prior.build()
    for weight in prior.weights:
        weight.assign(weight + 0.3 * RNG.normal(size=weight.shape))
    return prior


@pytest.mark.parametrize("places", [(4, 5), (2, 9), (7,), ()])
def test_no_place_sees_itself_or_what_follows(places):
    prior = _pixelcnn(places, 5)
    count = int(np.prod(places))
    codes = RNG.integers(5, size=(1, *places))
    logits = np.asarray(prior(codes)).reshape(count, 5)
    for place in range(count):
        other = codes.copy().reshape(-1)
        other[place] = (other[place] + 1) % 5
        changed = np.asarray(prior(other.reshape(codes.shape))).reshape(count, 5)
        differs = np.abs(changed - logits).max(axis=-1) > 1e-6
        assert not differs[: place + 1].any()
        # In the first row of a grid, and in a row, all that follow near by see it.
        if place + 1 < min(count, places[-1] if places else 1):
            assert differs[place + 1]


@pytest.mark.parametrize(("places", "num_codes"), [((2, 2), 3), ((3,), 4), ((), 5)])
def test_probabilities_of_all_grids_add_up_to_one(places, num_codes):
    prior = _pixelcnn(places, num_codes)
    count = int(np.prod(places))
    every = np.array(list(itertools.product(range(num_codes), repeat=count)))
    log_prob = np.asarray(prior.log_prob(every.reshape(-1, *places)))
    assert np.exp(log_prob.astype("float64")).sum() == pytest.approx(1.0, abs=1e-5)
    assert np.exp(log_prob).std() > 0.0


def test_samples_follow_the_probabilities():
    prior = _pixelcnn((2, 2), 3, seed=1)
    every = np.array(list(itertools.product(range(3), repeat=4))).reshape(-1, 2, 2)
    expected = np.exp(np.asarray(prior.log_prob(every)))
    drawn = prior.sample((20_000, 2, 2), seed=5)
    share = np.bincount(drawn.reshape(-1, 4) @ [27, 9, 3, 1], minlength=81) / len(drawn)
    assert np.abs(share - expected).max() < 4 * np.sqrt(0.25 / len(drawn))
    np.testing.assert_array_equal(drawn, prior.sample((20_000, 2, 2), seed=5))
    assert not np.array_equal(drawn[:100], prior.sample((100, 2, 2), seed=6))


def test_a_known_distribution_is_learned():
    """Rows of three codes, of which the third is the sum of the two, of unequal shares."""

    def draw(n, seed):
        codes = np.random.default_rng(seed).choice(3, size=(n, 2), p=[0.6, 0.3, 0.1])
        return np.concatenate([codes, codes.sum(axis=1, keepdims=True) % 3], axis=1)

    prior = PixelCNN((3,), 3, filters=16, blocks=1)
    # Keras looks at 32 held-out rows at a time, and a rest would take a program of its own.
    codes, held_out = draw(4000, 0), draw(640, 1)
    options = {"epochs": 12, "batch_size": 200, "learning_rate": 5e-3, "verbose": 0}
    history = prior.fit(codes, held_out, **options)
    entropy = 2 * scipy.stats.entropy([0.6, 0.3, 0.1])
    print(f"nats: {history['loss'][-1]:.3f}, held out {history['val_loss'][-1]:.3f}, {entropy:.3f}")
    assert history["val_loss"][-1] == pytest.approx(entropy, abs=0.1)
    samples = prior.sample((4000, 3), seed=0)
    assert (samples[:, 2] == samples[:, :2].sum(axis=1) % 3).mean() > 0.98
    expected = np.outer([0.6, 0.3, 0.1], [0.6, 0.3, 0.1]).ravel()
    share = np.bincount(samples[:, 0] * 3 + samples[:, 1], minlength=9) / len(samples)
    np.testing.assert_allclose(share, expected, atol=0.04)


def test_uniform_codes():
    prior = priors.UniformCodes(6)
    drawn = np.asarray(prior.sample((3000, 2), seed=0))
    np.testing.assert_allclose(np.bincount(drawn.ravel()) / 6000, 1 / 6, atol=0.02)
    np.testing.assert_allclose(prior.log_prob(drawn), -2 * np.log(6), rtol=1e-6)
    twin = keras.saving.deserialize_keras_object(keras.saving.serialize_keras_object(prior))
    assert twin.num_codes == 6


# Densities fitted afterwards ----------------------------------------------------------------------

_BRIEFLY = {"epochs": 1, "filters": 8, "blocks": 1, "verbose": 0}
_OPTIONS = {"ae_mlp": {"components": 4}, "vq_vae_conv": _BRIEFLY, "dvae_mlp": _BRIEFLY}


@pytest.mark.parametrize("name", _OPTIONS)
def test_a_fitted_density_changes_nothing_and_is_saved(name, digits, tmp_path):
    """Fit, density, save, load, fit: bit by bit as without the density."""
    keras.utils.set_random_seed(4)
    model = _small(name)
    x = digits[0][:96]

    def saved(file):
        model.save(tmp_path / file)
        return keras.saving.load_model(tmp_path / file, safe_mode=True)

    def trained_on(loaded):
        loaded.fit(x, batch_size=32, epochs=4, initial_epoch=2, verbose=0)
        optimizer = loaded.optimizer.variables
        return [variable.numpy() for variable in [*loaded.variables, *optimizer]]

    model.fit(x, batch_size=32, epochs=2, verbose=0)
    plain = saved("plain.keras")
    with eagerly():
        before = [variable.numpy() for variable in model.variables]
        history = model.fit_prior(x, validation_data=digits[1][:32], **_OPTIONS[name])
        assert set(history) == {"loss", "val_loss"}
        assert np.isfinite(history["loss"] + history["val_loss"]).all()
        for old, variable in zip(before, model.variables, strict=True):
            np.testing.assert_array_equal(old, variable)
        loaded = saved("density.keras")
        drawn = model.sample(7, seed=2)
        assert drawn.shape == (7, 8, 8, 1)
        np.testing.assert_array_equal(drawn, model.sample(7, seed=2))
        np.testing.assert_array_equal(drawn, loaded.sample(7, seed=2))
        assert not np.array_equal(drawn, loaded.sample(7, seed=3))
        assert type(loaded.prior) is type(model.prior)
    for without, with_density in zip(trained_on(plain), trained_on(loaded), strict=True):
        np.testing.assert_array_equal(without, with_density)


def test_the_same_seed_fits_the_same_density(digits):
    model = _small("vq_vae_conv")
    drawn = []
    for seed in (1, 1, 2):
        with eagerly():
            model.fit_prior(digits[0][:96], seed=seed, **_BRIEFLY)
        drawn.append(np.asarray(model.prior.log_prob(np.zeros((1, 2, 2), "int32"))))
    assert drawn[0] == drawn[1]
    assert drawn[0] != drawn[2]


def test_densities_are_of_the_codes_shape(digits):
    """A code of several axes is flattened and restored."""
    encoder, decoder = networks.conv((8, 8, 1), 4, (4,), code=False, grid=True)
    encoder = keras.Sequential([encoder, keras.layers.Conv2D(4, 1)])
    model = autoencoders.Autoencoder(encoder, decoder)
    model.compile("adam")
    model.fit_prior(digits[0][:200], components=2)
    assert model.latent_shape == (4, 4, 4)
    assert model.sample_codes(5, seed=0).shape == (5, 4, 4, 4)
    assert model.sample(5, seed=0).shape == (5, 8, 8, 1)


def test_models_of_labelled_rows(digits):
    labels = np.arange(200) % 10
    model = autoencoders.get("cvae_mlp", input_shape=(8, 8, 1), hidden_units=(16,))
    model.fit_prior((digits[0][:200], labels), components=2)
    assert isinstance(model.prior, priors.GaussianMixture)
    assert model.sample(3, labels=7, seed=0).shape == (3, 8, 8, 1)
    other = autoencoders.get("semi_supervised_aae_mlp", input_shape=(8, 8, 1), hidden_units=(16,))
    with pytest.raises(ValueError, match="has a prior over classes and styles"):
        other.fit_prior(digits[0])


def test_training_keeps_its_own_prior(digits):
    model = autoencoders.get("aae_mlp", input_shape=(8, 8, 1), hidden_units=(16,))
    model.fit_prior(digits[0][:200], components=2)
    assert isinstance(model.prior, priors.GaussianMixture)
    assert isinstance(model.training_prior, priors.StandardNormal)


def test_a_model_without_a_density_says_how_to_get_one(digits):
    for name in ("ae_mlp", "vq_vae_conv"):
        with pytest.raises(ValueError, match=r"has no prior to sample from.*fit_prior"):
            _small(name).sample(3)
    with pytest.raises(ValueError, match="`x` must have shape"):
        _small("ae_mlp").fit_prior(digits[0][:, 1:])
    with pytest.raises(TypeError, match="components"):
        _small("vq_vae_conv").fit_prior(digits[0][:32], components=3)
    assert _small("dvae_mlp").sample(3, seed=0).shape == (3, 8, 8, 1)  # from the uniform prior


def test_weights_with_a_density_load_without_one(digits, tmp_path):
    model = _small("vq_vae_conv")
    with eagerly():
        model.fit_prior(digits[0][:96], **_BRIEFLY)
    model.save_weights(tmp_path / "model.weights.h5")
    other = _small("vq_vae_conv")
    other.load_weights(tmp_path / "model.weights.h5")
    x = tf.constant(digits[1])
    np.testing.assert_array_equal(other.encode(x), model.encode(x))


def _nearest_distance(a, b):
    """The mean distance of rows of `a` from their nearest row in `b`."""
    a, b = a.reshape(len(a), -1), b.reshape(len(b), -1)
    squares = (a**2).sum(1)[:, None] + (b**2).sum(1) - 2 * a @ b.T
    return np.sqrt(np.maximum(squares, 0.0)).min(axis=1).mean()


def test_samples_are_nearer_to_digits_than_decoded_normal_draws(digits):
    keras.utils.set_random_seed(0)
    model = _small("ae_mlp")
    # Whole batches alone: the rest of the rows would take a program of its own.
    model.fit(digits[0][:1408], batch_size=32, epochs=20, verbose=0)
    model.fit_prior(digits[0])
    sampled = model.sample(360, seed=0)
    naive = model.decode(RNG.normal(size=(360, 8)).astype("float32"))
    test = digits[1]

    def mmd(rows):
        rows, others = (ops.reshape(part, (-1, 64)) for part in (rows, test))
        return float(divergences.squared_mmd(rows, others, divergences.inverse_multiquadratic))

    distances = [_nearest_distance(rows, test) for rows in (sampled, naive)]
    back = [_nearest_distance(test, rows) for rows in (sampled, naive)]
    discrepancies = [mmd(sampled), mmd(naive)]
    print(f"fitted, normal: distance {distances}, from digits {back}, MMD² {discrepancies}")
    assert distances[0] < 0.7 * distances[1]
    assert back[0] < 0.9 * back[1]
    assert discrepancies[0] < 0.2 * discrepancies[1]
