"""Divergences between distributions, in nats. Every function returns one value per row."""

from keras import ops


def gaussian_kl(mean, log_variance):
    """KL( N(mean, diag exp log_variance) || N(0, I) ), in closed form.

    Appendix B of Kingma & Welling, "Auto-Encoding Variational Bayes" (2013, arXiv:1312.6114).

    Args:
        mean, log_variance: Tensors of shape `(batch, latent_dim)`.

    Returns:
        Tensor of shape `(batch,)`, summed over the latent dimensions.
    """
    per_dimension = ops.exp(log_variance) + ops.square(mean) - 1.0 - log_variance
    return 0.5 * ops.sum(per_dimension, axis=-1)
