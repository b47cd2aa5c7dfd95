"""Divergences between distributions, in nats, and the log-densities that they are made of."""

import math
from collections.abc import Callable

from keras import ops

from autoencoders.types import Tensor


def gaussian_kl_per_dimension(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL( N(mean, exp log_variance) || N(0, 1) ) of every latent dimension, in closed form.

    Appendix B of Kingma & Welling, "Auto-Encoding Variational Bayes" (2013, arXiv:1312.6114).

    Args:
        mean, log_variance: Tensors of shape `(batch, latent_dim)`.

    Returns:
        Tensor of shape `(batch, latent_dim)`.
    """
    return 0.5 * (ops.exp(log_variance) + ops.square(mean) - 1.0 - log_variance)


def gaussian_kl(mean: Tensor, log_variance: Tensor) -> Tensor:
    """KL( N(mean, diag exp log_variance) || N(0, I) ): the sum over dimensions, `(batch,)`."""
    return ops.sum(gaussian_kl_per_dimension(mean, log_variance), axis=-1)


def gaussian_log_density(z: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """Log-density of z under N(mean, exp log_variance), elementwise, of the broadcast shape."""
    squares = ops.square(z - mean) * ops.exp(-log_variance)
    return -0.5 * (squares + log_variance + math.log(2.0 * math.pi))


def bernoulli_kl(p: Tensor | float, q: Tensor) -> Tensor:
    """KL( Bernoulli(p) || Bernoulli(q) ), elementwise, for probabilities strictly between 0 and 1.

    The sparsity term of Ng, "Sparse autoencoder" (CS294A lecture notes, 2011).
    """
    log_p, log_rest = (ops.log(ops.cast(value, q.dtype)) for value in (p, 1.0 - p))
    return p * (log_p - ops.log(q)) + (1.0 - p) * (log_rest - ops.log(1.0 - q))


def categorical_kl(log_probabilities: Tensor) -> Tensor:
    """KL from categorical distributions to the uniform one, over the last axis.

    Args:
        log_probabilities: Tensor `(..., categories)`, normalised.

    Returns:
        Tensor `(...)`.
    """
    entropy = -ops.sum(ops.exp(log_probabilities) * log_probabilities, axis=-1)
    return math.log(log_probabilities.shape[-1]) - entropy


def squared_mmd(x: Tensor, y: Tensor, kernel: Callable[[Tensor, int], Tensor]) -> Tensor:
    """Unbiased estimate of the squared maximum mean discrepancy between two distributions.

    Gretton et al., "A kernel two-sample test" (JMLR 13, 2012), equation 3. It may be negative.

    Args:
        x, y: Samples of the two, tensors `(n, dim)` and `(m, dim)`.
        kernel: Function of squared distances and of `dim` to similarities, as the two below.

    Returns:
        Scalar.
    """

    def mean_similarity(a, b, same):
        values = kernel(_squared_distances(a, b), a.shape[-1])
        pairs = ops.cast(ops.size(values), values.dtype)
        if not same:
            return ops.divide_no_nan(ops.sum(values), pairs)
        diagonal = ops.cast(ops.shape(a)[0], values.dtype)
        off = ops.sum(values) - ops.sum(ops.diagonal(values))
        return ops.divide_no_nan(off, pairs - diagonal)

    return (
        mean_similarity(x, x, True) + mean_similarity(y, y, True) - 2 * mean_similarity(x, y, False)
    )


def inverse_multiquadratic(squared_distances: Tensor, dim: int) -> Tensor:
    """Kernel Σ C / (C + d²) over C = 2 · dim · (0.1, 0.2, 0.5, 1, 2, 5, 10).

    The kernel and the scales of Tolstikhin et al., "Wasserstein auto-encoders" (2018,
    arXiv:1711.01558), for a prior of unit variance.
    """
    scales = [2.0 * dim * s for s in (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0)]
    return sum(scale / (scale + squared_distances) for scale in scales)


def radial_basis(squared_distances: Tensor, dim: int) -> Tensor:
    """Kernel exp(−d² / (2 · dim)): the bandwidth is half the mean squared distance of the prior."""
    return ops.exp(-squared_distances / (2.0 * dim))


def _squared_distances(a, b):
    return ops.sum(ops.square(a[:, None, :] - b[None, :, :]), axis=-1)


def decomposed_kl(
    z: Tensor, mean: Tensor, log_variance: Tensor, dataset_size: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The KL of Gaussian posteriors to the standard normal prior in three parts, from one batch.

    Chen et al., "Isolating sources of disentanglement in variational autoencoders" (2018,
    arXiv:1802.04942): the index-code mutual information, the total correlation and the
    dimension-wise KL, with the aggregate posterior estimated by minibatch weighted sampling. Their
    sum is a Monte Carlo estimate of the KL, whatever the batch.

    Args:
        z: One sample of each posterior, tensor `(batch, latent_dim)`.
        mean, log_variance: The posteriors' parameters, tensors `(batch, latent_dim)`.
        dataset_size: Rows in the training data. It shifts each part by a constant.

    Returns:
        Three tensors of shape `(batch,)`.
    """
    rows = ops.cast(ops.shape(mean)[0], z.dtype)
    log_weight = ops.log(rows * dataset_size)
    pairs = gaussian_log_density(z[:, None, :], mean[None, :, :], log_variance[None, :, :])
    log_own = ops.sum(gaussian_log_density(z, mean, log_variance), axis=-1)
    log_joint = ops.logsumexp(ops.sum(pairs, axis=-1), axis=1) - log_weight
    log_marginals = ops.sum(ops.logsumexp(pairs, axis=1) - log_weight, axis=-1)
    zero = ops.zeros_like(z)
    log_prior = ops.sum(gaussian_log_density(z, zero, zero), axis=-1)
    return log_own - log_joint, log_joint - log_marginals, log_marginals - log_prior
