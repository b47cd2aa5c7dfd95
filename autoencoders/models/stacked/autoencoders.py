"""Stacked autoencoders: pre-trained greedily, layer by layer, then unrolled and fine-tuned.

Layer i of the encoder and its mirror image in the decoder are trained as a shallow autoencoder of
their own, on the codes of the layers below; the trained layers, stacked, are where `fit` begins.

- Bengio, Lamblin, Popovici & Larochelle, "Greedy layer-wise training of deep networks" (NIPS 2006):
  each layer is an autoencoder. Loss of a layer: the mean squared error between its input and its
  reconstruction, unless `pretrain` is given another.
- Vincent et al., "Stacked denoising autoencoders" (JMLR 11, 2010): each layer reconstructs its
  input from a corrupted version of it.

Loss of the fine-tuning: the mean squared error, as Keras scales it, unless `compile` is given
another. `to_classifier` fine-tunes with labels instead.
"""

import math
from collections.abc import Callable, Iterable
from typing import Any

import keras
import numpy as np

from autoencoders import layers
from autoencoders.arguments import Part
from autoencoders.autoencoder import Autoencoder
from autoencoders.layers import corruption as corruptions
from autoencoders.networks import Architecture
from autoencoders.registry import register
from autoencoders.serialization import PACKAGE
from autoencoders.training import state
from autoencoders.training.backend import needs_tensorflow
from autoencoders.training.phased_model import PhasedModel
from autoencoders.types import Activation, Data


@keras.saving.register_keras_serializable(PACKAGE)
class StackedAutoencoder(Autoencoder):
    """A deep autoencoder of dense layers that `pretrain` trains one by one before `fit`.

    How many layers are done is saved with the model, so that an interrupted pre-training goes on
    where it stopped.

    Args:
        encoder: Network of `Dense` layers, and of others that only change a row's shape.
        decoder: Its mirror image: its last layer undoes the encoder's first, and so on.
        layer_corruption: Layer that changes each layer's input while that layer is pre-trained.
            `corruption`, by contrast, acts in `fit`.
        layer_penalties: `layers.Penalty` instances, terms on each layer's code in pre-training.
        kwargs: As in `Autoencoder`.
    """

    layer_corruption = Part(until_built=True)
    layer_penalties = Part(until_built=True)

    def __init__(
        self,
        encoder: keras.Layer,
        decoder: keras.Layer,
        *,
        layer_corruption: keras.Layer | None = None,
        layer_penalties: Iterable[layers.Penalty] = (),
        **kwargs: Any,
    ) -> None:
        super().__init__(encoder, decoder, **kwargs)
        self.layer_corruption = layer_corruption
        self.layer_penalties = list(layer_penalties)
        # The seed of all pre-training, and how many layers have had it.
        seed = int(np.asarray(self._shuffle.state)[0])
        self._pretraining = keras.Variable(
            np.array([seed, 0]), dtype="int64", trainable=False, name="pretraining"
        )

    @property
    def pretrained_layers(self) -> int:
        """How many layers `pretrain` has trained."""
        return int(np.asarray(self._pretraining)[1])

    @needs_tensorflow
    def pretrain(
        self,
        x: Data,
        *,
        epochs: int = 10,
        batch_size: int | None = None,
        optimizer: Any = None,
        loss: Any = None,
        verbose: str | int = "auto",
        callbacks: Any = None,
        restart: bool = False,
        on_layer_end: Callable[[int], Any] | None = None,
    ) -> list[keras.callbacks.History]:
        """Train the layers one after the other, each on the codes of those below it.

        It goes on after the last layer that is done. A layer's training begins with the weights
        that the layer has, an optimizer of its own and random numbers that follow from the model's
        saved state alone: interrupted between two layers, saved and loaded, it ends with the
        same weights as in one go. The state of `fit` (optimizer, shuffle order) is left alone.

        Args:
            x: Array `(n, *input_shape)`.
            epochs, batch_size, verbose: As in `fit`, for each layer.
            optimizer: Keras optimizer or the name of one; each layer gets a copy. Adam with
                learning rate 0.003 unless given.
            loss: Keras loss between each layer's input and its reconstruction.
            callbacks: List of Keras callbacks for the `fit` of each layer.
            restart: Begin with the first layer again, from the weights as they are.
            on_layer_end: Function called after each layer with the number of layers done, for
                instance to save the model.

        Returns:
            List of the layers' `keras.callbacks.History`, without those of layers done before.

        Raises:
            ValueError: NaN, wrong shape or wrong dtype; networks that do not mirror each other
                in dense layers.
        """
        if not isinstance(epochs, (int, np.integer)) or epochs < 1:
            raise ValueError(f"`epochs` must be a positive integer, got {epochs!r}.")
        self.ensure_built(x)
        x = self.expectation.array(x, "x", target=True)
        pairs = self._mirrored_layers()
        steps = math.ceil(len(x) / (batch_size or 32))
        if restart:
            self._count(0)
        done = self.pretrained_layers
        if done and verbose:
            rest = f"Going on with layer {done + 1}." if done < len(pairs) else "Nothing to do."
            print(f"Pre-trained already: {done} of {len(pairs)} layers. {rest}")
        if done == len(pairs):
            return []
        histories = []
        codes = x.reshape(len(x), -1)
        for number, (layer, mirror) in enumerate(pairs, 1):
            if number > done:
                if verbose:
                    sizes = f"{layer.kernel.shape[0]} → {layer.units}"
                    print(f"Layer {number} of {len(pairs)}: {sizes}")
                shallow = self.shallow_model(number, layer, mirror)
                self.compile_shallow(shallow, optimizer, loss, steps)
                shallow.ensure_built(codes)
                self._seed(shallow, number)
                history = shallow.fit(
                    codes,
                    batch_size=batch_size,
                    epochs=epochs,
                    verbose=verbose,
                    callbacks=callbacks,
                )
                self.take_over(shallow, layer, mirror)
                self._count(number)
                histories.append(history)
                if on_layer_end is not None:
                    on_layer_end(number)
            if number < len(pairs):
                codes = self._rows.run(f"layer {number}", layer, codes)
        return histories

    def _mirrored_layers(self):
        """Each dense layer of the encoder with the decoder's layer that undoes it."""
        encoder, decoder = (_dense_layers(part) for part in (self.encoder, self.decoder))
        sizes = [(math.prod(self.row_shape), *(layer.units for layer in encoder))]
        sizes.append((self.latent_shape[-1], *(layer.units for layer in decoder)))
        if sizes[0] != sizes[1][::-1]:
            ours, theirs = ("-".join(map(str, units)) for units in sizes)
            raise ValueError(
                f"Pre-training needs a decoder that mirrors the encoder layer by layer, but the "
                f"encoder's sizes are {ours} and the decoder's {theirs}."
            )
        return list(zip(encoder, decoder[::-1], strict=True))

    def shallow_model(self, number: int, layer: keras.Layer, mirror: keras.Layer) -> PhasedModel:
        """The model that trains layer `number`; it takes rows `(n, units of the layer below)`.

        A subclass that trains its layers by another model overrides this method, and the two below.
        """
        corruption = self.layer_corruption
        return Autoencoder(
            layer,
            mirror,
            corruption=None if corruption is None else copied(corruption),
            penalties=[copied(penalty) for penalty in self.layer_penalties],
            likelihood=self.likelihood if number == 1 else None,
            dtype=self.dtype_policy,
            name=f"{self.name}_layer_{number}",
        )

    def compile_shallow(
        self, shallow: PhasedModel, optimizer: Any, loss: Any, steps_per_epoch: int
    ) -> None:
        """Compile the model that trains a layer, with what `pretrain` was given or the default."""
        optimizer = optimizer or keras.optimizers.Adam(0.003)
        loss = None if shallow.likelihood else loss
        shallow.compile(copied(keras.optimizers.get(optimizer)), loss)

    def _seed(self, shallow, number):
        """Let the random numbers of layer `number` follow from this model's saved state."""
        seed = int(np.asarray(self._pretraining)[0])
        states = state.seed_states(shallow)
        seeds = np.random.default_rng([seed, number]).integers(2**31, size=len(states))
        state.restore(shallow, [(seed, 0) for seed in seeds])

    def take_over(self, shallow: PhasedModel, layer: keras.Layer, mirror: keras.Layer) -> None:
        """Copy what `shallow` has learnt into the layers, where it does not share them."""

    def _count(self, layers):
        self._pretraining.assign([np.asarray(self._pretraining)[0], layers])


def _dense_layers(network):
    """The dense layers of a network that is a chain of them."""
    chain = [network] if isinstance(network, keras.layers.Dense) else network.layers
    shaping = (keras.layers.InputLayer, keras.layers.Flatten, keras.layers.Reshape)
    for layer in chain:
        changed = isinstance(layer, keras.layers.Dense) and (
            layer.quantization_mode or layer.lora_enabled
        )
        if changed:
            raise ValueError(
                f"Pre-training needs layers as they were made, but {layer.name!r} is quantised or "
                "has an adapter (LoRA): pre-train the model first."
            )
        if not isinstance(layer, (keras.layers.Dense, *shaping)):
            raise ValueError(
                f"Pre-training needs a chain of Dense layers, but {network.name!r} has the "
                f"{type(layer).__name__} layer {layer.name!r}."
            )
    return [layer for layer in chain if isinstance(layer, keras.layers.Dense)]


def copied(part: Any) -> Any:
    """A layer, penalty or optimizer of the same configuration, with a state of its own."""
    return type(part).from_config(part.get_config())


@register
def stacked_ae(
    network: Architecture,
    latent_dim: int = 30,
    *,
    corruption: str | keras.Layer | None = None,
    noise: float = 0.25,
    l1: float = 0.0,
    output: Activation = "linear",
    name: str = "stacked_ae",
) -> StackedAutoencoder:
    """Deep autoencoder for pre-training by autoencoders, denoising or not.

    Args:
        network, latent_dim, output, name: As in `ae`.
        corruption: What each layer's pre-training does to its input: "gaussian", "masking" or
            "salt_and_pepper", a layer of your own, or None.
        noise: Level of the named corruption: the standard deviation of Gaussian noise in the
            units of the layer's input, or the share of inputs that the others destroy.
        l1: Weight of the L1 norm of each layer's code in its pre-training, for sparse layers.
    """
    return StackedAutoencoder(
        **network.build(latent_dim, output=output),
        layer_corruption=corruptions.get(corruption, noise),
        layer_penalties=[layers.ActivityPenalty(l1=l1)] if l1 else [],
        name=name,
    )
