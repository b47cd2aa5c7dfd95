"""Likelihoods, and bounds on them, in nats."""

import keras
import numpy as np

import autoencoders
from autoencoders import metrics
from benchmarks.papers.runs import Result, binarised, cosine, spread


def vae_400_20(run, *, epochs=10, batch_size=128, rates=(1e-3, 2e-3), seeds=3):
    """Kingma & Welling 2013 (arXiv:1312.6114), the size of PyTorch's example: 784-400-20.

    The example's recipe is Adam at 0.001 throughout: the first result. The second has the same
    epochs and batches, with a rate that falls from 0.002 to 0 along half a cosine.
    """
    data = run.mnist()
    constant, falling = rates
    recipes = {
        "as published: Adam, rate constant": lambda: constant,
        "rate falling along a cosine": lambda: cosine(falling, epochs, data.x, batch_size),
    }
    results = []
    for number, (name, rate) in enumerate(recipes.items()):

        def build(rate=rate):
            model = autoencoders.get("vae_mlp", hidden_units=(400,), latent_dim=20)
            model.compile(keras.optimizers.Adam(rate()))
            return model

        nats, seconds = [], []
        for seed in range(seeds):
            model, time, _ = run.train(
                f"vae_400_20_{number}_{seed}",
                build,
                (data.x,),
                epochs=epochs,
                batch_size=batch_size,
                seed=seed,
            )
            nats.append(_negative_elbo(model, data.x_test))
            seconds.append(time)
        results.append(
            Result(
                f"VAE 784-400-20, {name}",
                f"−ELBO of the test images in nats, one sample of z, grey pixels; {seeds} seeds",
                "105.56",
                spread(nats),
                f"{epochs}",
                float(np.mean(seconds)),
                " ".join(f"{value:.2f}" for value in nats),
            )
        )
    return results


def categorical_vae(
    run,
    *,
    epochs=60,
    batch_size=100,
    rate=2e-3,
    temperature=1.0,
    min_temperature=0.5,
    straight_through=False,
    activation="relu",
    samples=1000,
    seed=0,
):
    """Jang, Gu & Poole 2017 (arXiv:1611.01144), table 1: 784-(20×10)-200 on binary MNIST.

    The paper takes the static binarisation of Larochelle & Murray; here each pixel is drawn once,
    with its grey value as probability and a fixed seed. The prior is uniform (in versions of the
    paper it is learned). Its text has a multi-sample bound with m = 1,000, which is log 1/m Σ w_i
    here; the formula that it refers to, of another experiment, is a mean of logarithms.
    """
    data = run.mnist()
    x, x_test = binarised(data.x, 0), binarised(data.x_test, 1)
    steps = epochs * -(-len(x) // batch_size)

    def build():
        model = autoencoders.get(
            "dvae_mlp",
            latent_dim=20,
            num_codes=10,
            code_dim=None,
            hidden_units=(),
            decoder_units=(200,),
            activation=activation,
            temperature=temperature,
            min_temperature=min_temperature,
            anneal_steps=steps // 2,
            straight_through=straight_through,
        )
        model.compile(keras.optimizers.Adam(cosine(rate, epochs, x, batch_size)))
        return model

    model, seconds, _ = run.train(
        "categorical_vae", build, (x,), epochs=epochs, batch_size=batch_size, seed=seed
    )
    elbo = _negative_elbo(model, x_test)
    bound = -metrics.log_likelihood(model, x_test, num_samples=samples).mean
    return [
        Result(
            "categorical VAE 784-(20×10)-200, Gumbel-softmax",
            f"bound on −log p(x) of the test images in nats, {samples:,} samples, binary MNIST",
            "101.5 (straight-through 107.8)",
            f"{bound:.2f}",
            f"{epochs}",
            seconds,
            f"−ELBO {elbo:.2f}; binarised once with a fixed seed; uniform prior",
        )
    ]


def vae_likelihood(run, *, epochs=800, warm_up=20, **recipe):
    """Burda et al. 2015 (arXiv:1509.00519), table 1: a VAE 784-200-200-50, one sample of z.

    In the first `warm_up` epochs the weight of the KL divergence grows from 0.
    """

    def build(steps, **size):
        return autoencoders.get("vae_mlp", warm_up=warm_up * steps, **size)

    return _of_burda(run, "vae_likelihood", "VAE", "86.76", build, epochs, **recipe)


def iwae(run, *, epochs=250, **recipe):
    """Burda et al. 2015 (arXiv:1509.00519), table 1: the importance-weighted bound with k = 5."""

    def build(steps, **size):
        return autoencoders.get("iwae_mlp", num_samples=5, **size)

    return _of_burda(run, "iwae", "IWAE, k = 5,", "85.54", build, epochs, **recipe)


def _of_burda(
    run, name, title, published, build, epochs, *, batch_size=200, rate=1e-3, samples=5000, seed=0
):
    """The paper's networks and data, with fewer epochs in larger batches and a rate that falls
    along a cosine, where it has 3,280 epochs in batches of 20 and a rate that falls in steps.
    """
    data = run.mnist()
    x_test = binarised(data.x_test, 0)

    def rows(epoch):
        return (binarised(data.x, [seed, epoch]),)

    def compiled():
        steps = -(-len(data.x) // batch_size)
        model = build(steps, latent_dim=50, hidden_units=(200, 200), activation="tanh")
        rates = cosine(rate, epochs, data.x, batch_size)
        model.compile(keras.optimizers.Adam(rates, epsilon=1e-4))
        return model

    model, seconds, logs = run.train(
        name, compiled, rows, epochs=epochs, batch_size=batch_size, seed=seed
    )
    nats = -metrics.log_likelihood(model, x_test, num_samples=samples).mean
    points = sorted({max(1, round(epochs * share)) for share in (0.01, 0.03, 0.1, 0.3, 0.6, 1)})
    curve = ", ".join(f"{point}: {logs[point - 1]['loss']:.2f}" for point in points)
    return [
        Result(
            f"{title} 784-200-200-50, tanh",
            f"−log p(x) of the test images in nats, {samples:,} importance samples, pixels drawn "
            "anew for each epoch",
            published,
            f"{nats:.2f}",
            f"{epochs}",
            seconds,
            f"mean loss in epoch {curve}",
        )
    ]


def _negative_elbo(model, x):
    return model.evaluate(x, batch_size=1000, verbose=0, return_dict=True)["loss"]
