"""Prior distributions over the latent space."""

import keras

from autoencoders import divergences
from autoencoders.serialization import PACKAGE


@keras.saving.register_keras_serializable(PACKAGE)
class StandardNormal:
    """The normal distribution with zero mean and unit variance in every latent dimension."""

    def sample(self, shape, seed):
        """Draw latent vectors.

        Args:
            shape: `(n, latent_dim)`.
            seed: Integer or `keras.random.SeedGenerator`.
        """
        return keras.random.normal(shape, seed=seed)

    def kl(self, mean, log_variance):
        """KL from a diagonal Gaussian posterior to this prior, per row, in nats."""
        return divergences.gaussian_kl(mean, log_variance)

    def get_config(self):
        """Nothing to configure."""
        return {}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(**config)
