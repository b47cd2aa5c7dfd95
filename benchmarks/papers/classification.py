"""Classification errors, of codes and of networks that begin with them."""

import time

import keras
import numpy as np
from sklearn.linear_model import LogisticRegression

import autoencoders
from autoencoders import datasets, layers, networks
from benchmarks.papers.runs import Result, cosine


def stacked_denoising(
    run,
    *,
    pretraining=40,
    epochs=30,
    batch_size=100,
    rate=1e-3,
    fine_tuning=3e-3,
    noise=0.4,
    units=1000,
    sizes=(10_000, 2_000, 50_000),
    seed=0,
):
    """Vincent et al., JMLR 11 (2010), table 3, "basic": three layers, few training images.

    The paper's split is not at hand: here all 70,000 images are shuffled once with a fixed seed.
    Layers are sigmoid; each is pre-trained with masked inputs by the cross-entropy, as there. The
    validation images choose the epoch of the fine-tuning, as there; noise and the rate of the
    fine-tuning were chosen on them, too.
    """
    (x, y), (x_test, y_test) = datasets.mnist()
    x, y = np.concatenate([x, x_test]), np.concatenate([y, y_test])
    order = np.split(np.random.default_rng(0).permutation(len(x)), np.cumsum(sizes))
    train, valid, test = ((x[part], y[part]) for part in order[:3])
    test = valid if run.held_out else test

    def build():
        encoder, decoder = networks.mlp(
            (28, 28, 1),
            units,
            (units, units),
            activation="sigmoid",
            code_activation="sigmoid",
            output="sigmoid",
        )
        model = autoencoders.get(
            "stacked_denoising_mlp", noise=noise, encoder=encoder, decoder=decoder
        )
        model.compile(keras.optimizers.Adam(rate))
        return model

    model, seconds, _ = run.train(
        "stacked_denoising",
        build,
        train[:1],
        epochs=0,
        batch_size=batch_size,
        seed=seed,
        pretraining={
            "epochs": pretraining,
            "optimizer": keras.optimizers.Adam(cosine(rate, pretraining, train[0], batch_size)),
            "loss": "binary_crossentropy",
        },
    )
    options = {"epochs": epochs, "batch_size": batch_size, "rate": fine_tuning}
    classifier, more = _fine_tuned(run, model, train, valid, **options)
    return [
        Result(
            "stacked denoising autoencoder, 3 layers, fine-tuned",
            "error of 50,000 test images; 10,000 to train on, 2,000 to choose the epoch",
            "2.84 % (SAE-3 3.46, SVM 3.03)",
            f"{_errors(classifier, *test):.2f} %",
            f"{pretraining} a layer + {epochs}",
            seconds + more,
        )
    ]


def contractive(
    run,
    *,
    pretraining=40,
    epochs=20,
    batch_size=100,
    rate=1e-3,
    fine_tuning=3e-3,
    weight=0.3,
    units=1000,
    valid=10_000,
    seed=0,
):
    """Rifai et al., ICML 2011, table 1: one contractive layer, then a softmax layer, fine-tuned.

    As there, the encoder is sigmoid, the reconstruction's loss the cross-entropy, and the last
    10,000 training images choose the epoch.
    """
    data = run.mnist()
    cut = len(data.x) - min(valid, len(data.x) // 4)
    train, held = (data.x[:cut], data.y[:cut]), (data.x[cut:], data.y[cut:])

    def build():
        # The paper's weight stands beside a sum over pixels, Keras's loss is a mean over them.
        model = autoencoders.get(
            "contractive_mlp", latent_dim=units, weight=weight / 784, output="sigmoid"
        )
        optimizer = keras.optimizers.Adam(cosine(rate, pretraining, train[0], batch_size))
        model.compile(optimizer, loss="binary_crossentropy")
        return model

    model, seconds, _ = run.train(
        "contractive", build, train[:1], epochs=pretraining, batch_size=batch_size, seed=seed
    )
    options = {"epochs": epochs, "batch_size": batch_size, "rate": fine_tuning}
    classifier, more = _fine_tuned(run, model, train, held, **options)
    return [
        Result(
            "contractive autoencoder, 1 layer, fine-tuned",
            "error of the test images, MNIST; 50,000 to train on, 10,000 to choose the epoch",
            "1.14 % (autoencoder 1.78, denoising 1.18)",
            f"{_errors(classifier, data.x_test, data.y_test):.2f} %",
            f"{pretraining} + {epochs}",
            seconds + more,
        )
    ]


def k_sparse(
    run,
    *,
    epochs=100,
    batch_size=100,
    rate=5e-4,
    k=25,
    inference_k=100,
    penalty=3e-5,
    iterations=500,
    units=1000,
    seed=0,
):
    """Makhzani & Frey 2013 (arXiv:1312.5663): logistic regression on sparse codes.

    As there, weights are tied and the classifier sees more units than the decoder did. Here the
    mean image is taken off, and k is the same throughout; there it falls in the course of 5,000
    epochs.
    """
    data = run.mnist()
    mean = data.x.mean(axis=0)
    data = data._replace(x=data.x - mean, x_test=data.x_test - mean)

    def build():
        model = autoencoders.get("k_sparse_mlp", latent_dim=units, k=k, inference_k=inference_k)
        model.compile(keras.optimizers.Adam(cosine(rate, epochs, data.x, batch_size)))
        return model

    model, seconds, _ = run.train(
        "k_sparse", build, (data.x,), epochs=epochs, batch_size=batch_size, seed=seed
    )
    codes, test_codes = model.encode(data.x), model.encode(data.x_test)
    start = time.monotonic()
    classifier = LogisticRegression(C=1 / (penalty * len(codes)), max_iter=iterations)
    classifier.fit(codes, data.y)
    more = time.monotonic() - start
    error = 100 * np.mean(classifier.predict(test_codes) != data.y_test)
    silent = (test_codes == 0).all(axis=0).sum()
    return [
        Result(
            f"k-sparse autoencoder, {units:,} units, k = {k}, logistic regression",
            "error of the test images, MNIST; the codes are not fine-tuned",
            "1.35 %",
            f"{error:.2f} %",
            f"{epochs}",
            seconds,
            f"logistic regression {more:.0f} s more; {silent} units are silent on the test images",
        )
    ]


def semi_supervised_aae(
    run,
    *,
    epochs=30,
    batch_size=100,
    rate=1e-3,
    adversarial=3e-4,
    noise=0.6,
    units=1000,
    discriminator_units=500,
    labels=(100, 1000),
    seed=0,
):
    """Makhzani et al. 2015 (arXiv:1511.05644), table 2: few labels among 60,000 images.

    As there, Gaussian noise is added to the images while training. The labelled rows, as many of
    each class, are repeated until they are every third of a batch. All networks of the paper have
    two layers of 1,000 units; here the discriminators are half as wide.
    """
    data = run.mnist()
    published = {100: "1.90 %", 1000: "1.60 %"}
    results = []
    for count in labels:
        chosen = _of_each_class(data.y, count, seed)
        often = max(1, len(data.x) // (2 * len(chosen)))
        x = np.concatenate([data.x, np.repeat(data.x[chosen], often, axis=0)])
        y = np.concatenate([np.full(len(data.x), -1), np.repeat(data.y[chosen], often)])

        def build(x=x):
            model = autoencoders.get(
                "semi_supervised_aae_mlp",
                hidden_units=(units, units),
                discriminator_units=(discriminator_units, discriminator_units),
                corruption=layers.GaussianNoise(noise),
                output="sigmoid",
            )
            slower = {
                phase: keras.optimizers.Adam(cosine(adversarial, epochs, x, batch_size), beta_1=0.5)
                for phase in ("discriminator", "generator")
            }
            optimizer = keras.optimizers.Adam(cosine(rate, epochs, x, batch_size))
            model.compile(optimizer, phase_optimizers=slower)
            return model

        model, seconds, _ = run.train(
            f"semi_supervised_aae_{count}",
            build,
            (x, y),
            epochs=epochs,
            batch_size=batch_size,
            seed=seed,
        )
        wrong = model.classify(data.x_test).argmax(axis=1) != data.y_test
        results.append(
            Result(
                f"semi-supervised adversarial autoencoder, {count:,} labels",
                "error of the test images, MNIST",
                published.get(count, "1.90 % with 100 labels, 1.60 % with 1,000"),
                f"{100 * wrong.mean():.2f} %",
                f"{epochs}",
                seconds,
            )
        )
    return results


def _fine_tuned(run, model, train, valid, *, epochs, batch_size, rate):
    """The model's encoder with a softmax layer behind it, trained with labels; and the seconds.

    The weights kept are those of the epoch with the fewest errors on the validation rows.
    """
    keras.utils.set_random_seed(0)  # of the new layer and the order of rows
    classifier = model.to_classifier(10)
    classifier.compile(
        keras.optimizers.Adam(cosine(rate, epochs, train[0], batch_size)),
        "sparse_categorical_crossentropy",
        metrics=["accuracy"],
        jit_compile=True,
        steps_per_execution=max(1, min(50, len(train[0]) // batch_size)),
    )
    best = keras.callbacks.EarlyStopping(
        "val_accuracy", mode="max", patience=epochs, restore_best_weights=True
    )
    options = {"batch_size": batch_size, "verbose": run.verbose, "callbacks": [best]}
    start = time.monotonic()
    classifier.fit(*train, epochs=epochs, validation_data=valid, **options)
    return classifier, time.monotonic() - start


def _errors(classifier, x, y):
    """The share of rows whose class is not the most probable, in %."""
    return 100 * np.mean(classifier.predict(x, batch_size=1000, verbose=0).argmax(axis=1) != y)


def _of_each_class(y, count, seed):
    """Places of so many labels, a tenth of them of each class."""
    rng = np.random.default_rng(seed)
    return np.concatenate(
        [rng.permutation(np.flatnonzero(y == label))[: count // 10] for label in range(10)]
    )
