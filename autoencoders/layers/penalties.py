"""Penalties: terms added to the reconstruction loss that depend on the latent code."""

import keras
from keras import ops

from autoencoders.serialization import PACKAGE


class Penalty(keras.layers.Layer):
    """Base class of the penalties.

    A subclass gives `call(latent)`: one value per row, shape `(batch,)`, or a scalar for the
    batch. It is logged under `loss_term` and added to the loss.
    """

    loss_term = "penalty_loss"


@keras.saving.register_keras_serializable(PACKAGE)
class ActivityPenalty(Penalty):
    """L1 and L2 norms of the latent code: `l1 * Σ|z| + l2 * Σz²`, per row.

    Args:
        l1, l2: Weights of the two norms.
    """

    loss_term = "activity_loss"

    def __init__(self, l1=0.0, l2=0.0, **kwargs):
        super().__init__(**kwargs)
        self.l1 = l1
        self.l2 = l2

    def call(self, latent):
        """The penalty of each row: `(batch, ...)` to `(batch,)`."""
        z = ops.reshape(ops.cast(latent, self.variable_dtype), (ops.shape(latent)[0], -1))
        return self.l1 * ops.sum(ops.abs(z), axis=-1) + self.l2 * ops.sum(ops.square(z), axis=-1)

    def get_config(self):
        """The arguments of the constructor."""
        return {**super().get_config(), "l1": self.l1, "l2": self.l2}
