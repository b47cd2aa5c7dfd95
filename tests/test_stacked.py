"""Stacked autoencoders: pre-training layer by layer, interrupted or not; classifiers."""

import keras
import numpy as np
import pytest
import typer
from keras import ops
from sklearn.linear_model import LogisticRegression

import autoencoders
from autoencoders import datasets, layers, losses, metrics, networks, recipes
from autoencoders.cli import train
from autoencoders.models.stacked import StackedAutoencoder, StackedBoltzmannMachines
from autoencoders.zoo import weights
from tests import checks

NAMES = autoencoders.list_models(family="stacked")


def build(name, hidden_units=(16, 12), latent_dim=4, **arguments):
    return autoencoders.get(
        name,
        input_shape=(8, 8, 1),
        hidden_units=hidden_units,
        latent_dim=latent_dim,
        **arguments,
    )


def dense(network):
    return [layer for layer in network.layers if isinstance(layer, keras.layers.Dense)]


# Pre-training -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_each_layer_changes_its_own_variables_only(name, digits, capsys):
    model = build(name)
    pairs = list(zip(dense(model.encoder), dense(model.decoder)[::-1], strict=True))
    before = [[w.numpy() for part in pair for w in part.weights] for pair in pairs]
    changed = []

    def compare(layer):
        now = [[w.numpy() for part in pair for w in part.weights] for pair in pairs]
        moved = [
            [not np.array_equal(a, b) for a, b in zip(old, new, strict=True)]
            for old, new in zip(before, now, strict=True)
        ]
        changed.append([all(m) if any(m) else None for m in moved])
        before[:] = now

    histories = model.pretrain(digits[0], epochs=2, verbose=2, on_layer_end=compare)
    assert changed == [[True, None, None], [None, True, None], [None, None, True]]
    assert model.pretrained_layers == 3
    assert [history.epoch for history in histories] == [[0, 1]] * 3
    shown = capsys.readouterr().out
    for line in ("Layer 1 of 3: 64 → 16", "Layer 2 of 3: 16 → 12", "Layer 3 of 3: 12 → 4"):
        assert line in shown
    if name == "stacked_rbm_mlp":  # both directions have the machine's weights
        for layer, mirror in pairs:
            np.testing.assert_array_equal(layer.kernel, np.transpose(mirror.kernel))


def test_each_linear_layer_finds_the_principal_subspace_of_its_input(digits):
    """As Baldi & Hornik (1989) have it of one: PCA of the pixels, then PCA of the codes.

    The stack as a whole need not reach the PCA of the pixels: the code below is in no orthonormal
    basis, so that its errors weigh differently there.
    """
    x = digits[0].reshape(-1, 64)
    model = StackedAutoencoder(*networks.mlp((64,), 3, (8,), activation="linear"))
    decay = keras.optimizers.schedules.CosineDecay(0.02, 3000)
    histories = model.pretrain(
        x, epochs=200, batch_size=100, optimizer=keras.optimizers.Adam(decay), verbose=0
    )
    codes = dense(model.encoder)[0](x).numpy()
    for rows, units, history in zip((x, codes), (8, 3), histories, strict=True):
        error = history.history["loss"][-1] * rows.shape[1]
        pca = metrics.pca_squared_error(rows, rows, units)
        print(f"linear layer {rows.shape[1]} → {units}: squared error {error:.4f}, PCA {pca:.4f}")
        assert error == pytest.approx(pca, rel=0.005)


@pytest.mark.parametrize("name", NAMES)
def test_pretraining_gives_a_better_deep_autoencoder(name, digits):
    """Bengio et al. (2007), Hinton & Salakhutdinov (2006): deep sigmoid layers hardly learn alone.

    Same network, seed and fine-tuning.
    """
    x, test = digits
    error = {}
    for pretrained in (False, True):
        keras.utils.set_random_seed(0)
        model = build(name, (128, 64, 32), 8)
        if pretrained:
            model.pretrain(x, epochs=20, batch_size=50, verbose=0)
        model.fit(x, epochs=20, batch_size=50, verbose=0)
        error[pretrained] = metrics.squared_error(model, test)
    pca = metrics.pca_squared_error(x, test, 8)
    print(f"{name}: {error[True]:.2f} pre-trained, {error[False]:.2f} not, PCA {pca:.2f}")
    assert error[True] < 0.7 * error[False]
    if name == "stacked_rbm_mlp":
        assert error[True] < pca


def test_corruption_acts_on_every_layer_in_pretraining_only(digits):
    x = digits[0][:200]
    model = build("stacked_denoising_mlp", corruption="masking", noise=1.0)
    kernels = [layer.kernel for layer in dense(model.encoder)]
    before = [kernel.numpy() for kernel in kernels]
    plain = build("stacked_mlp", output="linear")
    plain.set_weights(model.get_weights())
    plain._shuffle.state.assign(model._shuffle.state)
    for each in (model, plain):
        each.fit(x, verbose=0)
    for ours, theirs in zip(model.get_weights(), plain.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert all(not np.array_equal(a, b) for a, b in zip(before, kernels, strict=True))
    # From an input of zeros no kernel can learn.
    before = [kernel.numpy() for kernel in kernels]
    model.pretrain(x, epochs=2, verbose=0)
    for old, kernel in zip(before, kernels, strict=True):
        np.testing.assert_array_equal(old, kernel)
    plain.pretrain(x, epochs=2, verbose=0)
    assert checks._moved(plain.get_weights(), model.get_weights())


def test_penalties_act_on_each_layers_code(digits):
    activity = {}
    for l1 in (0.0, 0.01):
        keras.utils.set_random_seed(0)
        parts = networks.mlp((8, 8, 1), 4, (16,), activation="sigmoid")
        model = StackedAutoencoder(*parts, layer_penalties=[layers.ActivityPenalty(l1=l1)])
        histories = model.pretrain(digits[0], epochs=10, verbose=0)
        assert all("activity_loss" in history.history for history in histories)
        hidden = dense(model.encoder)[0](digits[0].reshape(-1, 64))
        activity[l1] = np.abs(hidden).mean()
    assert activity[0.01] < 0.5 * activity[0.0]


@pytest.mark.parametrize("kind", [StackedAutoencoder, StackedBoltzmannMachines])
def test_a_likelihood_is_the_first_layers_loss_as_well(kind, digits):
    parts = networks.mlp((8, 8, 1), 4, (16,), activation="sigmoid")
    model = kind(*parts, likelihood=losses.Bernoulli())
    before = model.build((None, 8, 8, 1)) or model.reconstruction_error(digits[0]).mean()
    first, second = model.pretrain(digits[0], epochs=10, verbose=0)
    if kind is StackedAutoencoder:
        assert 15 < first.history["loss"][-1] < 64 * np.log(2)  # nats over 64 pixels
        assert second.history["loss"][-1] < 0.1  # a mean squared error
    assert model.reconstruction_error(digits[0]).mean() < 0.6 * before
    with pytest.raises(ValueError, match=r"`x` must lie in \[0, 1\]"):
        model.pretrain(2 * digits[0], restart=True)


def test_gaussian_machines_learn_standardised_data():
    rows = np.random.default_rng(0).normal(size=(400, 3)) @ np.ones((3, 9))
    rows = ((rows - rows.mean(axis=0)) / rows.std(axis=0)).astype("float32")
    model = autoencoders.get(
        "stacked_rbm_mlp", input_shape=(9,), hidden_units=(6,), latent_dim=2, output="linear"
    )
    first, _ = model.pretrain(rows, epochs=60, batch_size=20, verbose=0)
    errors = first.history["reconstruction_error"]
    assert errors[-1] < 0.5 * errors[0]


@pytest.mark.parametrize("name", NAMES)
def test_half_precision(name, digits):
    before = keras.mixed_precision.global_policy()
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        model = build(name)
        error = model.reconstruction_error(digits[0]).mean()
        histories = model.pretrain(digits[0], epochs=20, verbose=0)
    finally:
        keras.mixed_precision.set_global_policy(before)
    assert all(np.isfinite(history.history["loss"]).all() for history in histories)
    assert model.reconstruction_error(digits[0]).mean() < 0.8 * error


# Interruption and saving --------------------------------------------------------------------------


@pytest.mark.parametrize("name", NAMES)
def test_an_interrupted_pretraining_goes_on_bit_by_bit(name, digits, tmp_path, capsys):
    x = digits[0][:100]

    def save(layer):
        model.save(tmp_path / f"{layer}.keras")

    model = build(name)
    model.pretrain(x, epochs=2, verbose=0, on_layer_end=save)
    expected, order = checks.snapshot(model)
    for layer in (1, 2, 3):
        keras.utils.set_random_seed(99)
        resumed = autoencoders.load(tmp_path / f"{layer}.keras")
        assert resumed.pretrained_layers == layer
        histories = resumed.pretrain(x, epochs=2, verbose=2)
        assert len(histories) == 3 - layer
        then = f"Going on with layer {layer + 1}." if layer < 3 else "Nothing to do."
        assert f"Pre-trained already: {layer} of 3 layers. {then}" in capsys.readouterr().out
        for ours, theirs in zip(checks._state(resumed), expected, strict=True):
            np.testing.assert_array_equal(ours, theirs)
        np.testing.assert_array_equal(resumed._shuffle.state, order)
    for each in (model, resumed):
        each.fit(x, epochs=2, verbose=0)
    for ours, theirs in zip(checks._state(resumed), checks._state(model), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    resumed.pretrain(x, verbose=0, restart=True, epochs=1)
    assert checks._moved(resumed.get_weights(), model.get_weights())


def test_a_failing_layer_is_not_counted(digits):
    def interrupt(layer):
        raise KeyboardInterrupt

    model = build("stacked_mlp")
    stop = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: interrupt(epoch))
    with pytest.raises(KeyboardInterrupt):
        model.pretrain(digits[0], verbose=0, callbacks=[stop])
    assert model.pretrained_layers == 0
    with pytest.raises(KeyboardInterrupt):
        model.pretrain(digits[0], epochs=1, verbose=0, on_layer_end=interrupt)
    assert model.pretrained_layers == 1


@pytest.mark.parametrize("name", NAMES)
def test_the_state_of_fit_is_left_alone(name, digits):
    x = digits[0][:100]
    model = build(name)
    model.fit(x, verbose=0)
    state = [variable.numpy() for variable in model.optimizer.variables]
    shuffle = model._shuffle.state.numpy()
    optimizer = keras.optimizers.SGD(0.1)
    model.pretrain(x, epochs=1, optimizer=optimizer, verbose=0)
    for old, variable in zip(state, model.optimizer.variables, strict=True):
        np.testing.assert_array_equal(old, variable)
    np.testing.assert_array_equal(shuffle, model._shuffle.state)
    assert not optimizer.built  # each layer has had a copy


def test_weights_files_say_how_many_layers_are_done(digits, tmp_path):
    model = build("stacked_mlp")
    model.pretrain(digits[0], epochs=1, verbose=0)
    path = tmp_path / "stacked.weights.h5"
    arguments = {"input_shape": [8, 8, 1], "hidden_units": [16, 12], "latent_dim": 4}
    weights.save(model, path, "stacked_mlp", arguments)
    loaded = autoencoders.get("stacked_mlp", weights=path)
    assert loaded.pretrained_layers == 3
    np.testing.assert_array_equal(loaded.encode(digits[0]), model.encode(digits[0]))
    with pytest.warns(UserWarning, match="3 of 13 tensors were not loaded"):
        larger = autoencoders.get("stacked_mlp", weights=path, input_shape=(9, 8, 1))
    assert larger.pretrained_layers == 0  # its first layer has had none


def test_the_train_command_goes_on_with_the_next_layer(digits, tmp_path, monkeypatch, capsys):
    pretraining = {"epochs": 2, "batch_size": 50, "optimizer": {"name": "adam"}}
    recipe = {"optimizer": "adam", "batch_size": 50, "epochs": 2, "seed": 0}
    recipe |= {"pretraining": pretraining, "dataset": "digits"}
    arguments = {"input_shape": [8, 8, 1], "hidden_units": [16, 12], "latent_dim": 4}

    def fit(path):
        run = recipes.Run("stacked_denoising_mlp", arguments, recipe)
        return train.fit(run, recipes.Data(digits[0], None, digits[1], None), path)[0]

    def interrupted(model, number, *pair):
        if number == 2:
            raise KeyboardInterrupt
        return shallow_model(model, number, *pair)

    straight = fit(tmp_path / "straight.keras")
    shallow_model = StackedAutoencoder.shallow_model
    with monkeypatch.context() as patch:
        patch.setattr(StackedAutoencoder, "shallow_model", interrupted)
        with pytest.raises(typer.Exit):
            fit(tmp_path / "resumed.keras")
    capsys.readouterr()
    resumed = fit(tmp_path / "resumed.keras")
    assert "Pre-trained already: 1 of 3 layers" in capsys.readouterr().out
    for ours, theirs in zip(checks._state(resumed), checks._state(straight), strict=True):
        np.testing.assert_array_equal(ours, theirs)


# What pre-training refuses ------------------------------------------------------------------------


def test_bad_input(digits):
    model = build("stacked_mlp")
    before = model.get_weights()
    hole = digits[0].copy()
    hole[5, 0, 0, 0] = np.nan
    cases = {
        r"`x` must be finite.*row 5": {"x": hole},
        r"`x` must have shape \(n, 8, 8, 1\)": {"x": digits[0][:, 1:]},
        r"`epochs` must be a positive integer, got 0": {"x": digits[0], "epochs": 0},
        r"`batch_size` must be a positive integer": {"x": digits[0], "batch_size": -3},
    }
    for message, arguments in cases.items():
        with pytest.raises(ValueError, match=message):
            model.pretrain(**arguments, verbose=0)
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_networks_that_are_no_mirror_images(digits):
    x = digits[0].reshape(-1, 64)
    encoder, decoder = networks.mlp((64,), 4, (16, 12))
    _, other = networks.mlp((64,), 4, (16, 10))
    normalised = keras.Sequential([encoder, keras.layers.BatchNormalization()])
    cases = {
        "encoder's sizes are 64-16-12-4 and the decoder's 4-10-16-64": (encoder, other),
        "chain of Dense layers, but .* has the Functional layer 'encoder'": (normalised, decoder),
    }
    for message, parts in cases.items():
        with pytest.raises(ValueError, match=message):
            StackedAutoencoder(*parts).pretrain(x, verbose=0)


def test_what_boltzmann_machines_refuse(digits):
    relu = build("stacked_rbm_mlp", activation="relu")
    with pytest.raises(ValueError, match="'hidden_1' cannot be a Boltzmann machine's"):
        relu.pretrain(digits[0], verbose=0)
    with pytest.raises(ValueError, match="loss of Boltzmann machines"):
        build("stacked_rbm_mlp").pretrain(digits[0], loss="mse", verbose=0)
    with pytest.raises(ValueError, match="no corruption"):
        StackedBoltzmannMachines(
            *networks.mlp((64,), 4), layer_corruption=layers.GaussianNoise(0.1)
        )
    with pytest.raises(ValueError, match=r"`x` must lie in \[0, 1\]"):
        build("stacked_rbm_mlp").pretrain(2 * digits[0], verbose=0)
    with pytest.raises(ValueError, match="Did you mean 'masking'"):
        build("stacked_mlp", corruption="maskin")


# Fine-tuning with labels --------------------------------------------------------------------------


@pytest.mark.thorough
def test_a_pretrained_classifier_beats_a_linear_one_and_one_without():
    """Hinton & Salakhutdinov (2006): pre-training finds features that classify better."""
    (x, y), (x_test, y_test) = datasets.digits()
    linear = LogisticRegression(max_iter=5000).fit(x.reshape(-1, 64), y)
    accuracy = {"linear": linear.score(x_test.reshape(-1, 64), y_test)}
    for pretrained in (False, True):
        keras.utils.set_random_seed(0)
        model = build("stacked_rbm_mlp", (256, 256, 256), 64)
        if pretrained:
            model.pretrain(x, epochs=20, batch_size=50, verbose=0)
        classifier = model.to_classifier(10)
        classifier.fit(x, y, batch_size=50, epochs=30, verbose=0)
        accuracy[pretrained] = classifier.evaluate(x_test, y_test, verbose=0)[1]
    print({key: round(float(value), 3) for key, value in accuracy.items()})
    assert accuracy[True] > accuracy["linear"] + 0.01
    assert accuracy[True] > accuracy[False] + 0.03


# A model of each kind of code, and of series. The others are spared the time that it takes to trace
# Keras's loop.
COMPILED = [
    "ae_lstm",
    "dvae_mlp",
    "k_sparse_mlp",
    "semi_supervised_aae_mlp",
    "vae_mlp",
    "vq_vae_conv",
]


@pytest.mark.filterwarnings("ignore:Posterior collapse")
@pytest.mark.parametrize(
    "name",
    [
        pytest.param(name, marks=[pytest.mark.thorough] if name in spared else [], id=name)
        for spared in [checks.VARIANTS + checks.LIKE_OTHERS]
        for name in autoencoders.list_models()
    ],
)
def test_every_model_becomes_a_classifier(name, tmp_path):
    data = checks._data(name)
    y = datasets.digits()[0][1][: len(data.x)]
    model = checks.build(name)
    if data.needed:
        with pytest.raises(ValueError, match="needs labels to encode"):
            model.to_classifier(10)
        return
    classifier = model.to_classifier(10)
    x = ops.convert_to_tensor(data.x)  # of tensors models are asked without a program
    codes = model.encode(x).numpy()
    assert_classifies(classifier, x, codes)
    classifier.run_eagerly = name not in COMPILED
    classifier.fit(data.x, y, batch_size=len(y), epochs=2, verbose=0)
    assert not np.array_equal(codes, model.encode(x))  # the encoder is shared
    classifier.save(tmp_path / "classifier.keras")
    loaded = keras.saving.load_model(tmp_path / "classifier.keras")
    probabilities = classifier(x)
    np.testing.assert_array_equal(loaded(x), probabilities)
    loaded.run_eagerly = True
    loaded.fit(data.x, y, batch_size=len(y), verbose=0)
    assert not np.array_equal(loaded(x), probabilities)
    # The autoencoder goes on as before.
    checks.train_eagerly(model, data, steps=1)
    model.save(tmp_path / "model.keras")
    again = autoencoders.load(tmp_path / "model.keras")
    np.testing.assert_array_equal(again.encode(x), model.encode(x))


def assert_classifies(classifier, x, codes):
    """The probabilities are the softmax of a linear map of the codes."""
    kernel, bias = classifier.layers[-1].get_weights()
    odds = np.exp(codes.reshape(len(x), -1) @ kernel + bias)
    probabilities = odds / odds.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(classifier(x), probabilities, atol=1e-5)


def test_padding_of_series_is_nothing_to_a_classifier():
    decoder = keras.Sequential(
        [keras.Input((4,)), keras.layers.Dense(12), keras.layers.Reshape((6, 2))]
    )
    model = autoencoders.Autoencoder(keras.layers.LSTM(4), decoder, mask_value=-1.0)
    model.build((None, 6, 2))
    x = np.random.default_rng(0).uniform(size=(5, 6, 2)).astype("float32")
    x[:, 4:] = -1.0
    classifier = model.to_classifier(3)
    assert_classifies(classifier, x, model.encode(x))
    longer = np.where(x == -1.0, np.float32(0.5), x)
    assert not np.allclose(model.encode(longer), model.encode(x), atol=1e-3)
    assert_classifies(classifier, longer, model.encode(longer))


def test_a_frozen_encoder_stays_as_it_is():
    (x, y), _ = datasets.digits()
    model = build("stacked_mlp")
    before = model.get_weights()
    model.encoder.trainable = False
    classifier = model.to_classifier(10, name="digits")
    assert classifier.name == "digits"
    losses = classifier.fit(x, y, epochs=3, verbose=0).history["loss"]
    assert losses[-1] < losses[0]
    for old, new in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(old, new)


def test_what_a_classifier_refuses():
    for classes in (1, 2.5, "ten", None):
        with pytest.raises(ValueError, match="`num_classes` must be an integer, 2 or more"):
            build("stacked_mlp").to_classifier(classes)
    conv = [keras.layers.Conv2D(1, 3, padding="same") for _ in range(2)]
    model = autoencoders.Autoencoder(*conv)
    model.build((None, None, None, 1))
    with pytest.raises(ValueError, match=r"codes of open shape"):
        model.to_classifier(10)
