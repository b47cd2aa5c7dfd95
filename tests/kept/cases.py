"""Models and detectors that files are kept of: between them every class, and every kind of part.

They are small, and trained for a few steps, so that no two weights of a model are alike: a weight
that is loaded into another's place shows.
"""

from collections.abc import Callable
from contextlib import suppress
from importlib import import_module
from typing import NamedTuple

import keras
import numpy as np

import autoencoders
from autoencoders import Autoencoder, datasets, layers, losses, networks, serialization

_ROWS = 48


class Case(NamedTuple):
    """One kept file.

    Attributes:
        build: Makes it, compiled; a detector unfitted.
        data: Gives what `fit` is given, a tuple of arrays.
        prepare: Done before it is fitted, with model and rows.
        finish: Done after it was fitted and before it is saved, with model and rows.
        go_on: Done after the loaded one was trained on, with model and rows; gives what it logged.
        needs_labels: Whether `predict` takes the labels, too.
        samples: Whether it draws rows from its prior, if it has one.
        weights: Which files of weights alone are kept: "fitted", "compiled" before any fit, and
            "uncompiled".
    """

    build: Callable
    data: Callable
    prepare: Callable | None = None
    finish: Callable | None = None
    go_on: Callable | None = None
    needs_labels: bool = False
    samples: bool = True
    weights: tuple = ()

    batch_size = 16

    def given(self, count=None):
        """What `predict` is given: the first rows."""
        parts = tuple(part[:count] for part in self.data())
        return parts[:2] if self.needs_labels else parts[0]


def known(name):
    """The class that files call by this name, wherever its module is."""
    return getattr(import_module(serialization.MODULE_OF_CLASS[name]), name)


# What is checked does not depend on how wide a network is.
_SMALL = {"hidden_units": 7, "discriminator_units": 5, "filters": 3, "units": 4, "num_codes": 6}


def small(name, **arguments):
    """The registered model `name`, compiled by its recipe, small, for the digits."""
    card = autoencoders.info(name)["kwargs"]
    sizes = {
        key: size if isinstance(card[key], int) else (size,) * len(card[key])
        for key, size in _SMALL.items()
        if key in card
    }
    of_series = len(card["input_shape"]) == 2
    shape = (8, 8) if of_series else (8, 8, 1)
    return autoencoders.get(name, **{"input_shape": shape, **sizes, **arguments})


# Data ---------------------------------------------------------------------------------------------


def digits():
    (x, _), _ = datasets.digits()
    return (x[:_ROWS].reshape(_ROWS, 8, 8, 1).astype("float32"),)


def labelled_digits():
    _, y = datasets.digits()[0]
    return (*digits(), y[:_ROWS].astype("int32"))


def half_labelled_digits():
    x, y = labelled_digits()
    return x, np.where(np.arange(_ROWS) % 2, y, -1).astype("int32")


def data_for(model, count):
    """Digits, of the shape that the model has, with labels where it takes them."""
    (x, y), _ = datasets.digits()
    x, y = x[:count].reshape(count, *model.row_shape), y[:count].astype("int32")
    if model.labels is None:
        return (x,)
    return x, y if model.labels.needed else np.where(np.arange(count) % 2, y, -1)


def table():
    rows = np.random.default_rng(1).normal(size=(_ROWS, 2))
    return ((rows @ np.random.default_rng(2).normal(size=(2, 6))).astype("float32"),)


def shares():
    return ((1.0 / (1.0 + np.exp(-table()[0]))).astype("float32"),)


def series():
    steps = np.arange(7)[:, None] + np.random.default_rng(3).uniform(0, 6, (_ROWS, 1, 2))
    return (np.sin(steps).astype("float32"),)


def padded_series():
    (x,) = series()
    lengths = np.random.default_rng(4).integers(4, 8, (_ROWS, 1))
    return (np.where((np.arange(7) < lengths)[..., None], x, -2.0).astype("float32"),)


def long_series():
    noise = np.random.default_rng(5).normal(size=(240, 2))
    return ((np.sin(np.arange(240)[:, None] / [3.0, 5.0]) + 0.1 * noise).astype("float32"),)


# Models -------------------------------------------------------------------------------------------


def own_networks():
    encoder = keras.Sequential(
        [
            keras.Input((6,)),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Dense(7, "tanh", kernel_regularizer=keras.regularizers.L2(0.01)),
            keras.layers.BatchNormalization(),
            keras.layers.Dropout(0.2),
            keras.layers.Dense(3),
        ]
    )
    inputs = keras.Input((3,))
    x = keras.layers.Dense(5, "tanh")(inputs)
    x = keras.layers.Dropout(0.1)(x)
    decoder = keras.Model(inputs, keras.layers.Dense(6)(x))
    penalties = [layers.ContractivePenalty(0.01), layers.ActivityPenalty(0.01, 0.02)]
    model = Autoencoder(
        encoder,
        decoder,
        corruption=layers.MaskingNoise(0.2),
        penalties=penalties,
        name="own_networks",
    )
    schedule = keras.optimizers.schedules.ExponentialDecay(0.02, 4, 0.9)
    model.compile(keras.optimizers.AdamW(schedule), "huber", metrics=["mean_absolute_error"])
    return model


def variational():
    """A bottleneck, a corruption and a penalty that each have a generator, and two schedules."""
    encoder, decoder = networks.mlp((6,), 3, (7, 5), code=False, parameters=2, activation="tanh")
    bottleneck = layers.GaussianBottleneck(
        3, beta=0.5, warm_up=9, capacity=2.0, capacity_steps=8, name="bottleneck"
    )
    penalties = [layers.MMDPenalty(2.0), layers.DIPPenalty(0.3, 0.2, kind=2)]
    model = Autoencoder(
        encoder,
        decoder,
        bottleneck=bottleneck,
        corruption=layers.SaltAndPepperNoise(0.3, -1.0, 1.5),
        penalties=penalties,
        likelihood=losses.Gaussian(stddev=None),
        name="variational",
    )
    model.compile(keras.optimizers.SGD(0.002, momentum=0.9, nesterov=True), jit_compile=False)
    return model


def total_correlation():
    encoder, decoder = networks.mlp((6,), 2, (7,), code=False, activation="tanh")
    mixture = {"weights": [0.3, 0.7], "means": [[0.0, 1.0], [2.0, -1.0]]}
    penalty = layers.MMDPenalty(
        0.5,
        prior=known("GaussianMixture")(**mixture, covariances=[[1, 2], [3, 0.5]]),
        kernel="radial_basis",
    )
    model = Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.TotalCorrelationBottleneck(
            2, alpha=0.9, beta=2.0, gamma=1.1, dataset_size=_ROWS, warm_up=20, num_samples=2
        ),
        corruption=layers.GaussianNoise(0.05),
        penalties=[penalty],
        likelihood=losses.ContinuousBernoulli(),
        name="total_correlation",
    )
    model.compile(keras.optimizers.Adam(0.01), steps_per_execution=2)
    return model


def tied():
    encoder, decoder = networks.mlp((8, 8, 1), 5, (9,), tied_weights=True, activation="sigmoid")
    model = Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.TopK(2, 3),
        likelihood=losses.SquaredError(),
        name="tied",
    )
    model.compile(keras.optimizers.Adam(0.01))
    return model


def contractive():
    encoder, decoder = networks.mlp((6,), 4, code_activation="sigmoid", tied_weights=True)
    model = Autoencoder(
        encoder,
        decoder,
        penalties=[layers.ContractivePenalty(0.02), layers.SparsityPenalty(0.1, 0.05)],
        name="contractive",
    )
    model.compile(keras.optimizers.RMSprop(0.01))
    return model


def vector_quantizer():
    encoder, decoder = networks.conv((8, 8, 1), 2, (3, 4), code=False, grid=True)
    model = Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.VectorQuantizer(6, 2, decay=0.8, revive=0.5),
        corruption=layers.GaussianNoise(0.2),
        likelihood=losses.Bernoulli(),
        name="vector_quantizer",
    )
    model.compile(keras.optimizers.Adam(0.01))
    return model


def trained_codebook():
    encoder, decoder = networks.mlp((6,), (3, 2), (5,), activation="tanh")
    model = Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.VectorQuantizer(5, 2, decay=None, revive=0.6, commitment=0.5),
        likelihood=losses.Laplace(0.7),
        name="trained_codebook",
    )
    model.compile(keras.optimizers.Adam(0.01, use_ema=True))
    return model


def gumbel():
    encoder, decoder = networks.mlp((6,), (3, 4), (7,), activation="tanh")
    model = Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.GumbelSoftmax(
            5, 4, beta=0.5, warm_up=9, temperature=1.5, anneal_steps=11, straight_through=True
        ),
        likelihood=losses.Gaussian(0.5),
        name="gumbel",
    )
    model.compile(keras.optimizers.Adam(0.01))
    return model


def convolutional_series():
    """Series; and categories without a codebook, which stand in the features themselves."""
    _, decoder = networks.conv1d((7, 2), 4, (3, 4))
    encoder, _ = networks.conv1d((7, 2), 4, (3, 4))
    model = Autoencoder(
        encoder,
        decoder,
        bottleneck=layers.GumbelSoftmax(4, beta=0.1),
        penalties=[layers.ActivityPenalty(l2=0.1)],
        name="convolutional_series",
    )
    model.compile(keras.optimizers.Adam(0.01))
    return model


def masked_convolutions():
    masked = known("MaskedConv2D")
    inputs = keras.Input((8, 8, 1))
    x = masked(2, (3, 5), middle=True)(inputs)
    x = keras.layers.Flatten()(keras.layers.AveragePooling2D(4)(x))
    _, decoder = networks.conv((8, 8, 1), 3, (2,), output="sigmoid")
    encoder = keras.Model(inputs, keras.layers.Dense(3)(x))
    model = Autoencoder(encoder, decoder, name="masked_convolutions")
    model.compile(keras.optimizers.Adam(0.01), jit_compile=True)
    return model


def adversarial():
    """Generators of five owners, and an optimizer of another kind for each phase."""
    encoder, decoder = networks.mlp((6,), 2, (7,), code=False, activation="tanh")
    inputs = keras.Input((2,))
    x = keras.layers.Dense(5, "tanh", kernel_regularizer=keras.regularizers.L2(0.01))(inputs)
    x = keras.layers.Dropout(0.2)(x)
    model = known("AdversarialAutoencoder")(
        encoder,
        decoder,
        discriminator=keras.Model(inputs, keras.layers.Dense(1)(x)),
        prior=known("SwissRoll")(turns=1.5, radius=2.0),
        bottleneck=layers.GaussianBottleneck(2, free_bits=0.1),
        corruption=layers.GaussianNoise(0.1),
        penalties=[layers.MMDPenalty(0.1)],
        name="adversarial",
    )
    model.compile(
        keras.optimizers.Adam(0.01),
        phase_optimizers={
            "discriminator": keras.optimizers.SGD(0.05, momentum=0.8),
            "generator": keras.optimizers.RMSprop(0.005, momentum=0.5),
        },
    )
    return model


def semi_supervised():
    return small("semi_supervised_aae_mlp", prior="mixture", latent_dim=2)


def convolutional_adversary():
    return small("aae_conv", filters=(3, 4), discriminator_units=(5, 4), latent_dim=3)


def factor():
    return small("factor_vae_mlp", latent_dim=3, warm_up=10, discriminator_units=(5, 4))


def gan():
    return small("vae_gan_conv", latent_dim=3, filters=(2, 3))


def importance_weighted():
    return small("iwae_mlp", latent_dim=3, hidden_units=(7,))


def vamp():
    return small("vamp_vae_mlp", latent_dim=3, hidden_units=(7,), num_pseudo_inputs=4)


def conditional():
    return small("cvae_mlp", latent_dim=3, hidden_units=(7,))


def forced():
    """A mask, and a decoder that is shown the element before."""
    return small(
        "vae_lstm",
        input_shape=(7, 2),
        latent_dim=3,
        units=(4, 3),
        cell="lstm",
        decoder_cell="gru",
        teacher_forcing=True,
        reverse_targets=True,
        mask_value=-2.0,
        warm_up=10,
    )


def bidirectional():
    """Both ways; and a prior that no recipe has over codes like these."""
    encoder, decoder = networks.recurrent(
        (7, 2), 2, (3,), cell="gru", bidirectional=True, decoder_cell="rnn", code=False
    )
    bottleneck = layers.GaussianBottleneck(2, prior=known("UniformCodes")(num_codes=4))
    model = Autoencoder(encoder, decoder, bottleneck=bottleneck, name="bidirectional")
    model.compile(keras.optimizers.Adam(0.01))
    return model


def feedback():
    return small(
        "ae_lstm",
        input_shape=(7, 2),
        latent_dim=2,
        units=(3,),
        cell="rnn",
        decoder_cell="lstm",
        reverse_targets=True,
    )


def recursive():
    return small("ae_recursive", input_shape=(None, 2), latent_dim=2, units=(4, 3), mask_value=-2.0)


def stacked():
    sizes = {"latent_dim": 3, "hidden_units": (5, 4)}
    return small("stacked_mlp", input_shape=(6,), **sizes, corruption="masking", l1=0.01)


def stacked_machines():
    return small("stacked_rbm_mlp", latent_dim=4, hidden_units=(7, 5), cd_steps=2)


def boltzmann():
    machine = known("RestrictedBoltzmannMachine")(
        6,
        6,
        hidden="gaussian",
        cd_steps=2,
        sample_visible=True,
        weight_decay=0.01,
        name="boltzmann",
    )
    machine.compile(keras.optimizers.SGD(0.05, momentum=0.5))
    return machine


# Detectors ----------------------------------------------------------------------------------------


def detector():
    return autoencoders.AnomalyDetector(
        noise_levels=(0.5, 0.25),
        scaler="robust",
        model_params={"hidden_units": (5,), "latent_dim": 4},
        **_DETECTING,
    )


def scoring_detector():
    """Rows that the decision is not calibrated with, and scores that learn from rows."""
    return autoencoders.AnomalyDetector(
        "vae_mlp",
        score=("elbo", "mahalanobis", "reconstruction_error", "reconstruction_probability"),
        scaler="minmax",
        contamination=0.1,
        model_params={"hidden_units": (5,), "latent_dim": 2},
        **_DETECTING,
    )


def series_detector():
    return autoencoders.SeriesAnomalyDetector(
        window=8,
        stride=3,
        noise_levels=(0.5, 0.2),
        model_params={"hidden_units": (5,), "latent_dim": 4},
        **_DETECTING,
    )


_DETECTING = {
    "epochs": 1,
    "batch_size": Case.batch_size,
    "fpr": 0.2,
    "warm_start": True,
    "random_state": np.int64(3),
}


# What is done beside `fit` ------------------------------------------------------------------------


class _Interrupted(Exception):
    pass


def pretrain_one_layer(model, x):
    def stop(layers):
        raise _Interrupted

    with suppress(_Interrupted):
        model.pretrain(x, epochs=1, batch_size=Case.batch_size, verbose=0, on_layer_end=stop)


def pretrain_the_rest(model, x):
    histories = model.pretrain(x, epochs=1, batch_size=Case.batch_size, verbose=0)
    return [history.history for history in histories]


def fit_prior(model, x):
    model.fit_prior(x, components=2)


def fit_prior_of_codes(model, x):
    model.fit_prior(x, filters=4, blocks=1, epochs=1, batch_size=Case.batch_size, verbose=0)


_PRETRAINED = {"prepare": pretrain_one_layer, "go_on": pretrain_the_rest}
_ALL_WEIGHTS = ("fitted", "compiled", "uncompiled")

CASES = {
    "adversarial": Case(adversarial, table, weights=_ALL_WEIGHTS),
    "bidirectional": Case(bidirectional, series, samples=False),
    "boltzmann": Case(boltzmann, shares),
    "conditional": Case(conditional, labelled_digits, needs_labels=True),
    "contractive": Case(contractive, table, finish=fit_prior),
    "convolutional_adversary": Case(convolutional_adversary, digits),
    "convolutional_series": Case(convolutional_series, series),
    "detector": Case(detector, table),
    "factor": Case(factor, digits),
    "feedback": Case(feedback, series),
    "forced": Case(forced, padded_series),
    "gan": Case(gan, digits),
    "gumbel": Case(gumbel, table),
    "importance_weighted": Case(importance_weighted, digits),
    "masked_convolutions": Case(masked_convolutions, digits),
    "own_networks": Case(own_networks, table),
    "recursive": Case(recursive, padded_series),
    "scoring_detector": Case(scoring_detector, table),
    "semi_supervised": Case(semi_supervised, half_labelled_digits),
    "series_detector": Case(series_detector, long_series),
    "stacked": Case(stacked, table, **_PRETRAINED),
    "stacked_machines": Case(stacked_machines, digits, **_PRETRAINED),
    "tied": Case(tied, digits),
    "total_correlation": Case(total_correlation, shares),
    "trained_codebook": Case(trained_codebook, table, finish=fit_prior_of_codes),
    "vamp": Case(vamp, digits),
    "variational": Case(variational, table, weights=_ALL_WEIGHTS),
    "vector_quantizer": Case(vector_quantizer, digits, finish=fit_prior_of_codes),
}
