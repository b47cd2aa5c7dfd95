"""What compile and fit take, what the losses are, which data is refused."""

import subprocess
import sys

import keras
import numpy as np
import pandas
import pytest
import tensorflow as tf
from keras import ops

import autoencoders
from autoencoders import layers, losses, networks
from autoencoders.models.adversarial import AdversarialAutoencoder
from tests.dense import RNG, build, penalty, rows


@pytest.fixture
def x():
    return rows()


@pytest.fixture
def model():
    return build()


# Losses -------------------------------------------------------------------------------------------


def test_the_default_loss_is_kerass_mean_squared_error(model, x):
    predicted = model.predict(x, verbose=0)
    assert model.evaluate(x, verbose=0)[0] == pytest.approx(
        np.square(x - predicted).mean(), rel=1e-5
    )


SAME_LOSS = ["mae", keras.losses.MeanAbsoluteError(), keras.losses.mean_absolute_error]


@pytest.mark.parametrize("loss", SAME_LOSS)
def test_compile_takes_any_keras_loss(model, x, loss):
    model.compile("adam", loss=loss)
    expected = np.abs(x - model.predict(x, verbose=0)).mean()
    assert model.evaluate(x, verbose=0)[0] == pytest.approx(expected, rel=1e-5)


def test_a_likelihood_is_the_only_loss_of_its_model():
    """A Keras loss, a mean over pixels, would let a KL in nats collapse the posterior."""
    model = build(likelihood=losses.Bernoulli())
    with pytest.raises(ValueError, match="is its likelihood's, in nats"):
        model.compile("adam", loss="mse")
    with pytest.raises(ValueError, match="build it with `likelihood="):
        build().compile("adam", loss=losses.Gaussian())


@pytest.mark.parametrize("policy", ["float32", "mixed_float16", "mixed_bfloat16"])
def test_sample_weights_at_any_precision(policy, x):
    keras.mixed_precision.set_global_policy(policy)
    try:
        for parts in (
            {},
            {"likelihood": losses.Gaussian(), "bottleneck": layers.GaussianBottleneck(3)},
        ):
            model = build(**parts)
            # Adam, and the rest of the rows, would be most of the programs.
            model.compile("sgd")
            whole = {"batch_size": len(x), "verbose": 0}
            ones = model.evaluate(x, sample_weight=np.ones(len(x)), **whole)[0]
            assert ones == pytest.approx(model.evaluate(x, **whole)[0], rel=1e-3)
            model.fit(x, sample_weight=np.ones(len(x)), **whole)
            pipeline = tf.data.Dataset.from_tensors((x.astype("float64"), x, np.ones(len(x))))
            assert np.isfinite(model.evaluate(pipeline, verbose=0)[0])
    finally:
        keras.mixed_precision.set_global_policy("float32")


@pytest.mark.parametrize("reduction", ["sum_over_batch_size", "mean", "sum", None])
def test_weights_count_once_whatever_the_reduction(reduction, model, x):
    model.compile("adam", loss=keras.losses.MeanSquaredError(reduction=reduction))
    plain = model.evaluate(x, verbose=0)[0]
    threefold = model.evaluate(x, sample_weight=np.full(len(x), 3.0), verbose=0)[0]
    assert threefold == pytest.approx(3.0 * plain, rel=1e-5)


def test_the_elbo_of_a_linear_gaussian_model_against_its_closed_form():
    """With a linear decoder both terms have closed forms; the sampled loss averages to them."""
    encoder = keras.Sequential([keras.Input((4,)), keras.layers.Identity()])
    decoder = keras.Sequential([keras.Input((2,)), keras.layers.Dense(4)])
    model = autoencoders.Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.GaussianBottleneck(2),
        likelihood=losses.Gaussian(0.8),
    )
    model.compile("adam")
    row = RNG.normal(size=(1, 4)).astype("float32")
    mean, log_variance = (a.astype("float64")[0] for a in model.posterior(row))
    weights, bias = (w.astype("float64") for w in decoder.get_weights())
    residual = row[0] - (mean @ weights + bias)
    spread = (np.exp(log_variance)[:, None] * weights**2).sum()
    reconstruction = (residual @ residual + spread) / (2 * 0.8**2) + 4 * np.log(
        0.8 * np.sqrt(2 * np.pi)
    )
    kl = 0.5 * (np.exp(log_variance) + mean**2 - 1 - log_variance).sum()
    logs = model.evaluate(
        np.repeat(row, 200_000, axis=0), batch_size=20_000, verbose=0, return_dict=True
    )
    assert logs["kl_loss"] == pytest.approx(kl, rel=1e-4)
    assert logs["reconstruction_loss"] == pytest.approx(reconstruction, rel=0.01)


def test_sample_weight_counts_a_row_that_often(x):
    """In every term: the Keras loss, the penalty, and the KL (which is not sampled)."""
    for parts, terms in (
        ({"penalties": [penalty()]}, {"loss", "reconstruction_loss", "activity_loss"}),
        ({"bottleneck": layers.GaussianBottleneck(3)}, {"kl_loss"}),
    ):
        model = build(**parts)
        weighted = model.evaluate(
            x[:3], sample_weight=np.array([2.0, 0.0, 1.0]), verbose=0, return_dict=True
        )
        repeated = model.evaluate(x[[0, 0, 2]], verbose=0, return_dict=True)
        for term in terms:
            assert weighted[term] == pytest.approx(repeated[term], rel=1e-5), term


@pytest.mark.parametrize("name", ["cvae_mlp", "aae_mlp"])
def test_labels_and_phases_with_weights_in_pipelines_and_in_half_precision(name, digits):
    """What takes labels and what has several phases, in every form of data, in programs."""
    small = {"input_shape": (8, 8, 1), "hidden_units": (16,)}
    if name == "aae_mlp":
        small["discriminator_units"] = (16,)
    x = digits[0][:96]
    y = np.arange(96, dtype="int32") % 10 if name == "cvae_mlp" else x
    pair, ones = tf.data.Dataset.from_tensor_slices((x, y)).batch(32), np.ones(96)

    def made():
        keras.utils.set_random_seed(0)
        model = autoencoders.get(name, **small)
        # The recipe's Adam would be most of the programs.
        model.compile(keras.optimizers.SGD(0.001))
        return model

    model = made()
    weighted = model.fit(x, y, batch_size=32, sample_weight=ones, verbose=0).history
    plain = made().fit(x, y, batch_size=32, verbose=0).history
    assert weighted.keys() == plain.keys()
    for term, values in weighted.items():
        np.testing.assert_allclose(values, plain[term], rtol=1e-5)
    evaluated = model.evaluate(x, y, sample_weight=ones, verbose=0)
    history = model.fit(pair, verbose=0, validation_data=(x, y)).history
    assert np.isfinite(list(history.values())).all()
    assert evaluated != model.evaluate(x, y, sample_weight=ones, verbose=0)
    assert model.evaluate(pair, verbose=0) == pytest.approx(
        model.evaluate(x, y, sample_weight=ones, verbose=0), rel=1e-5
    )
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        half = made()
        history = half.fit(x, y, batch_size=32, epochs=2, verbose=0).history
    finally:
        keras.mixed_precision.set_global_policy("float32")
    assert half.training_loop.name == "fused"
    assert np.isfinite(list(history.values())).all()
    assert all(
        isinstance(optimizer, keras.optimizers.LossScaleOptimizer)
        for optimizer in half.phase_optimizers.values()
    )


def test_penalties_and_regularizers_are_terms_of_their_own(x):
    encoder, decoder = networks.mlp((6,), 3)
    encoder = keras.Sequential([*encoder.layers, keras.layers.ActivityRegularization(l2=0.5)])
    decoder.layers[-1].kernel_regularizer = keras.regularizers.L2(0.1)
    decoder.layers[-1].kernel.regularizer = keras.regularizers.L2(0.1)
    model = autoencoders.Autoencoder(encoder, decoder, penalties=[penalty()])
    model.compile("adam")
    logs = model.evaluate(x, batch_size=len(x), verbose=0, return_dict=True)
    assert set(logs) == {"loss", "reconstruction_loss", "activity_loss", "regularization_loss"}
    codes = model.encode(x)
    assert logs["activity_loss"] == pytest.approx(0.1 * np.abs(codes).sum(axis=1).mean(), rel=1e-4)
    kernel = decoder.layers[-1].kernel.numpy()
    activity = 0.5 * np.square(codes).sum() / len(x)
    assert logs["regularization_loss"] == pytest.approx(
        0.1 * np.square(kernel).sum() + activity, rel=1e-4
    )


def test_two_terms_of_one_name_are_an_error():
    with pytest.raises(ValueError, match=r"log the loss terms \['activity_loss'\]"):
        build(penalties=[penalty(), penalty()])


class Weighed(keras.layers.Layer):
    """Adds a loss of its own, in training alone."""

    def call(self, x, training=None):
        if training:
            self.add_loss(ops.convert_to_tensor(7.0))
        return x


def test_losses_that_layers_add_in_training_count(x):
    encoder, decoder = networks.mlp((6,), 3)
    encoder = keras.Sequential([keras.Input((6,)), Weighed(), encoder])
    model = autoencoders.Autoencoder(encoder, decoder)
    model.compile("adam")
    logs = model.fit(x, epochs=2, verbose=0).history
    assert logs["regularization_loss"] == pytest.approx([7.0, 7.0])
    assert model.evaluate(x, verbose=0, return_dict=True)["regularization_loss"] == 0.0


def test_losses_that_a_model_adds_itself_count(x):
    class Weighing(autoencoders.Autoencoder):
        def features(self, inputs, training, corrupt=True):
            if training:
                self.add_loss(ops.convert_to_tensor(3.0))
            return super().features(inputs, training, corrupt)

    model = Weighing(*networks.mlp((6,), 3))
    model.compile("adam")
    logs = model.fit(x, epochs=2, verbose=0).history
    assert logs["regularization_loss"] == pytest.approx([3.0, 3.0])


def test_a_loss_that_is_added_where_nothing_looks_is_an_error(x):
    class Adding(autoencoders.Autoencoder):
        def objective(self, batch, encoding, output):
            self.add_loss(ops.convert_to_tensor(3.0))
            return super().objective(batch, encoding, output)

    model = Adding(*networks.mlp((6,), 3))
    model.compile("adam", run_eagerly=True)
    with pytest.raises(ValueError, match="return it from `objective`"):
        model.fit(x, verbose=0)


def test_metrics_of_ones_own_that_are_not_given_back_are_an_error(x):
    class Silent(autoencoders.Autoencoder):
        def compute_metrics(self, *args):
            super().compute_metrics(*args)

    model = Silent(*networks.mlp((6,), 3))
    model.compile("adam", run_eagerly=True)
    with pytest.raises(TypeError, match="must return the dict of what is logged"):
        model.fit(x, verbose=0)


def test_a_models_own_metrics_are_logged(x):
    class Measured(autoencoders.Autoencoder):
        def compute_metrics(self, x, y, y_pred, sample_weight=None):
            logs = super().compute_metrics(x, y, y_pred, sample_weight)
            return {**logs, "largest": ops.max(ops.abs(y_pred))}

    model = Measured(*networks.mlp((6,), 3))
    model.compile("adam")
    assert set(model.fit(x, verbose=0).history) == {"loss", "reconstruction_loss", "largest"}
    logs = model.evaluate(x, batch_size=len(x), verbose=0, return_dict=True)
    assert logs["largest"] == pytest.approx(np.abs(model.predict(x, verbose=0)).max(), rel=1e-5)


def test_a_discriminators_regularizers_act_on_the_discriminator(x):
    discriminator = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(8, kernel_regularizer="l2", activity_regularizer="l2"),
            keras.layers.Dense(1),
        ]
    )
    encoder, decoder = networks.mlp((6,), 3)
    model = AdversarialAutoencoder(encoder, decoder, discriminator=discriminator)
    model.compile(keras.optimizers.SGD(0.1))
    assert "regularization_loss" not in model.evaluate(x, verbose=0, return_dict=True)
    logs = model.evaluate(x, verbose=0, return_dict=True)
    light = model.evaluate(x, sample_weight=np.full(len(x), 0.01), verbose=0, return_dict=True)
    term = "discriminator_regularization_loss"  # of the weights, not of the rows
    assert light[term] == pytest.approx(logs[term], rel=1e-5)
    assert light["discriminator_loss"] == pytest.approx(0.01 * logs["discriminator_loss"], rel=0.1)
    discriminator.layers[0].kernel_regularizer.l2 = 2.0
    model.compile(keras.optimizers.SGD(0.1))
    before = np.abs(discriminator.layers[0].kernel.numpy()).mean()
    model.fit(x, epochs=5, verbose=0)
    assert np.abs(discriminator.layers[0].kernel.numpy()).mean() < 0.5 * before
    model.evaluate(x, verbose=0)  # in another graph than the losses of `fit`


def test_looking_for_layer_losses_leaves_no_trace(x):
    encoder, decoder = networks.mlp((6,), 3)
    encoder = keras.Sequential(
        [keras.Input((6,)), keras.layers.Dropout(0.5), keras.layers.BatchNormalization(), encoder]
    )
    model = autoencoders.Autoencoder(encoder, decoder)
    before = [variable.numpy() for variable in model.variables]
    model.compile("adam")
    for variable, old in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(variable, old)


def test_parts_of_unknown_shape_are_trained_too(x):
    class Learnt(layers.Penalty):
        def __init__(self):
            super().__init__()
            self.dense = keras.layers.Dense(1)

        def call(self, latent):
            return ops.square(self.dense(latent))[:, 0]

    encoder, decoder = networks.mlp((6,), 3)
    model = AdversarialAutoencoder(
        encoder, decoder, discriminator=keras.Sequential([keras.layers.Dense(1)])
    )
    model.compile("adam")
    before = model.discriminator.get_weights()
    model.fit(x, verbose=0)
    assert not np.array_equal(before[0], model.discriminator.get_weights()[0])
    model = build(penalties=[Learnt()])
    before = model.penalties[0].get_weights()
    model.fit(x, verbose=0)
    assert not np.array_equal(before[0], model.penalties[0].get_weights()[0])


def test_a_clean_target_is_what_counts(model, x):
    clean = RNG.normal(size=x.shape).astype("float32")
    expected = np.square(clean - model.predict(x, verbose=0)).mean()
    assert model.evaluate(x, clean, verbose=0)[0] == pytest.approx(expected, rel=1e-5)


def test_corruption_is_off_in_evaluation_and_on_in_training(x):
    model = build(corruption=layers.GaussianNoise(50.0))
    clean = model.evaluate(x, verbose=0)[0]
    assert clean == pytest.approx(np.square(x - model.predict(x, verbose=0)).mean(), rel=1e-5)
    assert model.fit(x, verbose=0).history["loss"][0] > 10 * clean


# Compile ------------------------------------------------------------------------------------------


def test_a_phase_without_its_own_optimizer_gets_a_copy():
    model = autoencoders.get("aae_mlp", input_shape=(6,), hidden_units=(8,))
    own = keras.optimizers.SGD(0.5)
    model.compile(keras.optimizers.Adam(0.01), phase_optimizers={"discriminator": own})
    optimizers = model.phase_optimizers
    assert list(optimizers) == ["reconstruction", "discriminator", "generator"]
    assert optimizers["discriminator"] is own
    assert optimizers["reconstruction"] is model.optimizer
    assert optimizers["generator"] is not model.optimizer
    assert float(optimizers["generator"].learning_rate) == pytest.approx(0.01)
    assert all(optimizer.built for optimizer in optimizers.values())
    with pytest.raises(ValueError, match="Did you mean 'generator'"):
        model.compile("adam", phase_optimizers={"generater": "sgd"})


def test_phases_update_their_own_variables_only(x):
    model = autoencoders.get("aae_mlp", input_shape=(6,), hidden_units=(8,))
    still = keras.optimizers.SGD(0.0)
    model.compile(still, phase_optimizers={"discriminator": keras.optimizers.SGD(0.1)})
    before = {part: getattr(model, part).get_weights() for part in PARTS}
    model.fit(x, verbose=0)
    for part in PARTS:
        same = all(
            np.array_equal(a, b)
            for a, b in zip(before[part], getattr(model, part).get_weights(), strict=True)
        )
        assert same == (part != "discriminator"), part


PARTS = ("encoder", "decoder", "discriminator")


def test_metrics_compare_the_target_with_the_prediction(model, x):
    model.compile("adam", metrics=[keras.metrics.MeanAbsoluteError(name="mae")])
    logs = model.evaluate(x, verbose=0, return_dict=True)
    assert set(logs) == {"loss", "reconstruction_loss", "mae"}
    expected = np.abs(x - model.predict(x, verbose=0)).mean()
    assert logs["mae"] == pytest.approx(expected, rel=1e-5)
    assert {"mae", "val_mae"} <= set(model.fit(x, validation_split=0.25, verbose=0).history)


OPTIONS = [{"run_eagerly": True}, {"steps_per_execution": 3}, {"jit_compile": True}]


@pytest.mark.parametrize("options", OPTIONS)
def test_every_way_of_running_trains_alike(x, options):
    def train(**options):
        keras.utils.set_random_seed(1)
        model = build()
        model.compile(keras.optimizers.SGD(0.1), **options)
        return model.fit(x, batch_size=8, epochs=3, verbose=0).history["loss"], model.get_weights()

    (plain, weights), (other, others) = train(), train(**options)
    assert other == pytest.approx(plain, rel=1e-5)
    for a, b in zip(weights, others, strict=True):
        np.testing.assert_allclose(a, b, atol=1e-6)


def test_frozen_parts_stay(model, x):
    model.encoder.trainable = False
    model.compile("adam")
    before = model.encoder.get_weights()
    model.fit(x, verbose=0)
    for old, new in zip(before, model.encoder.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_two_replicas_train_as_one():
    """Under MirroredStrategy each replica sees half of a batch; the update is that of the whole."""
    code = """
import keras, numpy as np, tensorflow as tf
cpu = tf.config.list_physical_devices("CPU")[0]
tf.config.set_logical_device_configuration(cpu, [tf.config.LogicalDeviceConfiguration()] * 2)
import autoencoders
from autoencoders.training import step
x = np.random.default_rng(0).normal(size=(32, 6)).astype("float32")
def train():
    keras.utils.set_random_seed(0)
    model = autoencoders.get("ae_mlp", input_shape=(6,), hidden_units=(8,))
    model.compile(keras.optimizers.SGD(0.1))
    assert model.trained is False
    losses = model.fit(x, batch_size=16, epochs=3, shuffle=False, verbose=0).history["loss"]
    return losses, model.get_weights()
plain, weights = train()
strategy = tf.distribute.MirroredStrategy(["CPU:0", "CPU:1"])
with strategy.scope():
    mirrored, others = train()
    # A last batch of one row leaves a replica without any; metrics and unbuilt networks work.
    vae = autoencoders.get(
        "vae_mlp", input_shape=(6,), hidden_units=(8,), likelihood="gaussian"
    )
    unbuilt = autoencoders.Autoencoder(*(keras.Sequential([keras.layers.Dense(6)]) for _ in "ab"))
    for model in (vae, unbuilt):
        model.compile("sgd", metrics=["mse"])
odd = np.concatenate([x, x[:1]])
for model in (vae, unbuilt):
    history = model.fit(odd, batch_size=16, verbose=0).history
    assert np.isfinite(list(history.values())).all(), history
before = vae.evaluate(odd, verbose=0, return_dict=True)["kl_loss"]
vae.bottleneck.beta = 3.0  # each replica sees it
after = vae.evaluate(odd, verbose=0, return_dict=True)["kl_loss"]
np.testing.assert_allclose(after, 3.0 * before, rtol=1e-5)
vae.bottleneck.warm_up = 20  # whose count of steps the replicas share
steps = autoencoders.callbacks.Linear(4.0, 8.0, over=6)
anneal = autoencoders.callbacks.Anneal("bottleneck.beta", steps, "step", begin=3)
vae.fit(odd, batch_size=16, callbacks=[anneal], verbose=0)
assert vae.bottleneck.steps.numpy() == 3, vae.bottleneck.steps
assert vae.bottleneck.beta == steps(2), vae.bottleneck.beta
# A phase that a batch does not concern on any replica leaves all as it is, momentum or not.
with strategy.scope():
    weight, optimizer = keras.Variable(1.0), keras.optimizers.Adam(0.1)
    optimizer.build([weight])
phase = step.Phase(
    "p", lambda batch, _: {"p": weight * batch.x}, ("p",), [weight],
    concerns=lambda batch: keras.ops.any(batch.x > 0),
)
@tf.function
def train_on(x):
    strategy.run(lambda x: step.train([phase], {"p": optimizer}, step.Batch(x, x)), args=(x,))
def on_replicas(*values):
    return strategy.experimental_distribute_values_from_function(
        lambda context: tf.constant([values[context.replica_id_in_sync_group]])
    )
seen = []
for values in ((0.0, 0.0), (0.0, 1.0), (0.0, 0.0), (2.0, 1.0)):
    train_on(on_replicas(*values))
    seen.append((int(optimizer.iterations.numpy()), round(float(weight.numpy()), 5)))
assert seen[0] == (0, 1.0) and seen[1] == seen[2] == (1, 0.9) and seen[3][0] == 2, seen
np.testing.assert_allclose(plain, mirrored, rtol=1e-5)
for a, b in zip(weights, others):
    np.testing.assert_allclose(a, b, atol=1e-6)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]


# Data ---------------------------------------------------------------------------------------------


def test_validation_data_is_checked_and_split_as_keras_does(model, x):
    with pytest.raises(ValueError, match="must be finite"):
        model.fit(x, validation_data=np.full((2, 6), np.nan), verbose=0)
    history = model.fit(x, epochs=1, validation_split=0.25, verbose=0).history
    assert history["val_loss"][0] == pytest.approx(model.evaluate(x[30:], verbose=0)[0], rel=1e-5)
    with pytest.raises(ValueError, match="leaves one part without rows"):
        model.fit(x[:2], validation_split=0.9, verbose=0)


def test_targets_outside_the_likelihoods_support(x):
    model = autoencoders.get("vae_mlp", input_shape=(6,))
    with pytest.raises(ValueError, match=r"`x` must lie in \[0, 1\].*another `likelihood`"):
        model.fit(x, verbose=0)
    with pytest.raises(ValueError, match=r"`y` must lie in \[0, 1\]"):
        model.fit(np.clip(x, 0, 1), x, verbose=0)
    model.fit(x, np.clip(x, 0, 1), verbose=0)

    def generator():
        yield (x,)

    with pytest.raises(ValueError, match=r"`x` must lie in \[0, 1\]"):
        model.fit(generator(), verbose=0)
    autoencoders.get("vae_mlp", input_shape=(6,), likelihood="gaussian").fit(x, verbose=0)


def test_a_refused_batch_changes_nothing(x):
    """Not even what does not read it: weight decay, moving averages, counters, generators."""
    encoder, decoder = networks.mlp((6,), 3)
    encoder = keras.Sequential([keras.Input((6,)), keras.layers.BatchNormalization(), encoder])
    model = AdversarialAutoencoder(encoder, decoder, discriminator=networks.discriminator(3, (4,)))
    model.compile(keras.optimizers.AdamW(weight_decay=0.1))
    bad = x.copy()
    bad[3, 2] = np.nan

    def state():
        optimizers = model.phase_optimizers.values()
        return [v.numpy() for part in (model, *optimizers) for v in part.variables]

    before = state()
    for batch in ((bad,), (x, bad), (x, x, np.full(len(x), np.nan))):
        with pytest.raises(ValueError, match="must be finite"):
            model.train_on_batch(*batch)
        with pytest.raises(ValueError, match="must be finite"):
            model.fit(tf.data.Dataset.from_tensors(batch), verbose=0)
    for old, new in zip(before, state(), strict=True):
        np.testing.assert_array_equal(old, new)


@pytest.mark.filterwarnings("ignore:Your input ran out of data")  # as Keras says of generators
def test_a_bad_batch_is_refused_before_xla_has_it(x):
    """XLA compiles the assertions of a step away."""
    model = autoencoders.get("ae_mlp", input_shape=(6,), hidden_units=(4,))
    model.compile("adam", jit_compile=True)
    bad = x.copy()
    bad[3, 2] = np.nan

    class Rows(keras.utils.PyDataset):
        def __init__(self, rows):
            super().__init__()
            self.rows = rows

        def __len__(self):
            return 1

        def __getitem__(self, index):
            return self.rows, self.rows

    ways = {
        "pipeline": lambda rows: tf.data.Dataset.from_tensors((rows, rows)),
        "rows alone": tf.data.Dataset.from_tensors,
        "generator": lambda rows: ((rows, rows) for _ in range(1)),
        "PyDataset": Rows,
    }
    for make in ways.values():
        model.fit(make(x), verbose=0)
        before = model.get_weights()
        for use in (model.fit, model.evaluate):
            with pytest.raises(ValueError, match="`x` must be finite"):
                use(make(bad), verbose=0)
        with pytest.raises(ValueError, match="`x` must be finite"):
            model.fit(x, validation_data=make(bad), epochs=1, verbose=0)
        model.set_weights(before)
    for use in (model.train_on_batch, model.test_on_batch):
        assert np.isfinite(use(x)).all()
        with pytest.raises(ValueError, match="`x` must be finite, but 1 of 40 rows"):
            use(bad)


def test_batches_are_checked_for_rows_and_weights(model, x):
    with pytest.raises(ValueError, match="`y` must have as many rows as `x`, 40; got 1"):
        model.train_on_batch(x, x[:1])
    with pytest.raises(ValueError, match="`sample_weight` must have as many rows"):
        model.train_on_batch(x, x, np.ones(1, "float32"))
    with pytest.raises(ValueError, match=r"one weight per row; got \(40, 6\)"):
        model.train_on_batch(x, x, np.ones((40, 6), "float32"))
    assert np.isfinite(model.train_on_batch(x, x, np.ones(40, "int64"))).all()


def test_other_bad_arguments(model, x):
    with pytest.raises(ValueError, match="as many rows as `x`, 40; got 39"):
        model.fit(x, x[1:], verbose=0)
    with pytest.raises(ValueError, match=r"`sample_weight` must be finite with shape \(n,\)"):
        model.fit(x, sample_weight=np.ones((40, 2)), verbose=0)
    with pytest.raises(ValueError, match="labels have no place"):
        model.fit(x, np.arange(40), verbose=0)
    with pytest.raises(ValueError, match=r"got uint8\. Scale images"):
        model.fit(x.astype("uint8"), verbose=0)
    with pytest.raises(ValueError, match=r"got int64\. Convert it first"):
        model.fit(x.astype("int64"), verbose=0)
    with pytest.raises(ValueError, match="`validation_split` divides arrays"):
        model.fit(tf.data.Dataset.from_tensors(x), validation_split=0.5, verbose=0)
    with pytest.raises(ValueError, match=r"`x` must be one dense array, got a \w*Dataset"):
        model.encode(tf.data.Dataset.from_tensors(x))
    with pytest.raises(ValueError, match="must be finite"):
        model.fit(tf.data.Dataset.from_tensors(np.full((4, 6), 1e300)), verbose=0)
    with pytest.raises(ValueError, match="must be finite"):
        model.predict_on_batch(np.full((4, 6), np.nan, "float32"))
    with pytest.raises(ValueError, match="got None"):
        model.compile(None)
    with pytest.raises(ValueError, match="no classes to weigh"):
        model.fit(x, class_weight={0: 1.0}, verbose=0)
    with pytest.raises(ValueError, match="one dense array, got a list"):
        model.fit([x, x], verbose=0)
    with pytest.raises(ValueError, match="must be finite"):
        model.train_on_batch(np.full((4, 6), np.nan, "float32"))
    with pytest.raises(ValueError, match="must be finite"):
        model.reconstruction_error(np.full((4, 6), 1e300))
    assert model.train_on_batch(x)[0] > 0
    assert model.test_on_batch(x) == model.test_on_batch(x)


def test_data_frames(model, x):
    frame = pandas.DataFrame(x, columns=list("abcdef"))
    np.testing.assert_array_equal(model.reconstruction_error(frame), model.reconstruction_error(x))
    frame["c"] = "text"
    with pytest.raises(ValueError, match=r"has the columns \['c'\]"):
        model.fit(frame, verbose=0)


def test_other_float_types(model, x):
    expected = model.reconstruction_error(x)
    np.testing.assert_array_equal(model.reconstruction_error(x.astype("float64")), expected)
    model.fit(x.astype("float16"), verbose=0)
