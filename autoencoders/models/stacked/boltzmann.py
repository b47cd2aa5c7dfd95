"""Deep autoencoders whose layers are pre-trained as restricted Boltzmann machines.

Hinton & Salakhutdinov, "Reducing the dimensionality of data with neural networks" (Science 313,
2006): each layer is a `RestrictedBoltzmannMachine`, trained by contrastive divergence. Loss of a
layer: the energy of the data less that of its reconstruction.
"""

from typing import Any

import keras
from keras import ops

from autoencoders import losses
from autoencoders.arguments import Number, Switch
from autoencoders.checks import positive_integer
from autoencoders.models.stacked.autoencoders import StackedAutoencoder, copied
from autoencoders.models.stacked.machine import RestrictedBoltzmannMachine
from autoencoders.networks import Architecture
from autoencoders.registry import register
from autoencoders.serialization import PACKAGE
from autoencoders.types import Activation


@keras.saving.register_keras_serializable(PACKAGE)
class StackedBoltzmannMachines(StackedAutoencoder):
    """A deep autoencoder whose layers are pre-trained as restricted Boltzmann machines.

    A machine's units follow from the activations of the two layers that it becomes: sigmoid units
    are binary, linear ones Gaussian. Unless `pretrain` is given an optimizer, it is stochastic
    gradient descent by Hinton, "A practical guide to training restricted Boltzmann machines"
    (2010): learning rate 0.1, or 0.001 where units are Gaussian, and momentum 0.9, with a fifth of
    the rate in the first five epochs, which is the effective rate of momentum 0.5.

    Args:
        encoder, decoder: As in `StackedAutoencoder`, of sigmoid and linear layers with biases.
        cd_steps: Steps of Gibbs sampling of the contrastive divergence.
        weight_decay: Weight of ½ΣW² in a machine's loss.
        kwargs: As in `Autoencoder`.
    """

    cd_steps = Switch(positive_integer)
    weight_decay = Number(at_least=0, off=(0,))

    def __init__(
        self,
        encoder: keras.Layer,
        decoder: keras.Layer,
        *,
        cd_steps: int = 1,
        weight_decay: float = 0.0002,
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, **kwargs)
        if self.layer_corruption is not None or self.layer_penalties:
            raise ValueError("Boltzmann machines take no corruption and no penalties.")
        self.cd_steps = cd_steps
        self.weight_decay = weight_decay

    def shallow_model(
        self, number: int, layer: keras.Layer, mirror: keras.Layer
    ) -> RestrictedBoltzmannMachine:
        """The machine of layer `number`, with the layer's weights.

        Raises:
            ValueError: one of the two layers is frozen: a machine trains both.
        """
        for part in (layer, mirror):
            if not part.trainable:
                raise ValueError(
                    f"Layer {part.name!r} is frozen, but a Boltzmann machine trains both of its "
                    "layers: freeze them after `pretrain`."
                )
        logits = number == 1 and isinstance(self.likelihood, losses.Bernoulli)
        machine = RestrictedBoltzmannMachine(
            mirror.units,
            layer.units,
            visible="binary" if logits else _kind_of_units(mirror),
            hidden=_kind_of_units(layer),
            cd_steps=self.cd_steps,
            weight_decay=self.weight_decay,
            dtype=self.variable_dtype,
            name=f"{self.name}_layer_{number}",
        )
        machine.ensure_built()
        machine.set_weights([layer.kernel, mirror.bias, layer.bias])
        return machine

    def compile_shallow(
        self, shallow: RestrictedBoltzmannMachine, optimizer: Any, loss: Any, steps_per_epoch: int
    ) -> None:
        """Compile the machine; see the class for the default optimizer."""
        if loss is not None:
            raise ValueError("The loss of Boltzmann machines is contrastive divergence.")
        if optimizer is None:
            rate = 0.001 if "gaussian" in (shallow.visible, shallow.hidden) else 0.1
            rate = keras.optimizers.schedules.PiecewiseConstantDecay(
                [5 * steps_per_epoch], [rate / 5, rate]
            )
            optimizer = keras.optimizers.SGD(rate, momentum=0.9)
        shallow.compile(copied(keras.optimizers.get(optimizer)))

    def take_over(
        self, shallow: RestrictedBoltzmannMachine, layer: keras.Layer, mirror: keras.Layer
    ) -> None:
        """Copy the machine's weights into the two layers that it becomes."""
        layer.kernel.assign(shallow.kernel)
        layer.bias.assign(shallow.hidden_bias)
        mirror.kernel.assign(ops.transpose(shallow.kernel))
        mirror.bias.assign(shallow.visible_bias)


def _kind_of_units(layer):
    kinds = {keras.activations.sigmoid: "binary", keras.activations.linear: "gaussian"}
    if layer.activation not in kinds or not layer.use_bias:
        raise ValueError(
            f"Layer {layer.name!r} cannot be a Boltzmann machine's: it must have a bias and be "
            "sigmoid (binary units) or linear (Gaussian units)."
        )
    return kinds[layer.activation]


@register
def stacked_rbm(
    network: Architecture,
    latent_dim: int = 30,
    *,
    cd_steps: int = 1,
    output: Activation = "sigmoid",
    name: str = "stacked_rbm",
) -> StackedBoltzmannMachines:
    """Deep autoencoder for pre-training by restricted Boltzmann machines.

    The hidden layers are "sigmoid" (binary units in pre-training) or "linear" (Gaussian units).

    Args:
        network, name: As in `ae`.
        latent_dim: Number of linear code units, Gaussian in pre-training.
        cd_steps: Steps of Gibbs sampling of the contrastive divergence.
        output: Activation of the decoder's output; "sigmoid" for data in [0, 1], "linear" for
            standardised data.
    """
    parts = network.build(latent_dim, output=output)
    return StackedBoltzmannMachines(**parts, cd_steps=cd_steps, name=name)
