"""`Autoencoder`, the base class that every model of the zoo shares."""

from collections.abc import Iterable
from functools import partial
from typing import Any

import keras
from keras import ops

from autoencoders import losses
from autoencoders.arguments import Declared, Part, Structure, constants
from autoencoders.autoencoder import (
    classifier,
    fitting,
    forward,
    generation,
    hooks,
    inference,
    ranges,
)
from autoencoders.autoencoder import objective as objectives
from autoencoders.checks import from_file
from autoencoders.distributions.priors import described
from autoencoders.files import AnyPath
from autoencoders.layers import Bottleneck, Penalty
from autoencoders.networks import endings, tie
from autoencoders.serialization import PACKAGE
from autoencoders.training import adapting, evidence, frozen, state
from autoencoders.training.expectation import Expectation
from autoencoders.training.phased_model import PhasedModel
from autoencoders.training.row_runner import RowRunner
from autoencoders.training.step import Phase
from autoencoders.types import KnownShape, Shape, Tensor


@keras.saving.register_keras_serializable(PACKAGE)
class Autoencoder(Declared, PhasedModel):
    """An encoder, a bottleneck and a decoder, trained to give back their input.

        x ─▶ corruption ─▶ encoder ─▶ bottleneck ─▶ decoder ─▶ x̂

    It is a `keras.Model`: `compile`, `fit`, `evaluate`, `predict` and `save` work as in Keras.
    `fit(x)` reconstructs x; `fit(x, target)` reconstructs another, clean version of it. The loss
    is the sum of the reconstruction loss, the bottleneck's and the penalties' terms, each logged
    under its own name. `evaluate` samples where training does, from generators that start afresh
    each time, without corruption or dropout, so that it repeats exactly.

    Args:
        encoder: Keras model or layer, `(batch, *input_shape)` to features or the latent code.
        decoder: Keras model or layer, latent code to the parameters of the reconstruction. Its
            `networks.DenseTranspose` layers take the kernels of the encoder's dense layers.
        bottleneck: `layers.Bottleneck` between the two; without one the code is what the encoder
            gives.
        corruption: Layer that changes the input while training (`layers.GaussianNoise`, ...).
        penalties: `layers.Penalty` instances, terms on the latent code.
        mask_value: Number that stands for padding at the end of a series: steps all of whose
            features have it. They change no code, count in no loss or error, and come back as they
            are; a padded series and the same series unpadded are alike.
        likelihood: `losses.Likelihood`: the reconstruction loss in nats, and the map from the
            decoder's output to the reconstruction. Without one the decoder puts out the
            reconstruction itself, and the loss is the mean squared error, or what `compile` is
            given, scaled as Keras scales it.
    """

    encoder = Part(endings.is_network)
    decoder = Part(endings.is_network)
    bottleneck: Part = Part(fitting.is_bottleneck)
    corruption: Part = Part(until_built=True)
    penalties = Part()
    likelihood: Part = Part(fitting.is_likelihood)
    mask_value = Structure(fitting.is_padding)

    # From rows to reconstructions: forward.py ----------------------------------------------------

    call = forward.call
    inputs_of = forward.inputs_of
    padding_mask = forward.padding_mask
    features = forward.features
    code = forward.code
    encoding = forward.encoding
    decoder_output = forward.decoder_output
    reconstruct = forward.reconstruct
    repeated = forward.repeated
    per_row = forward.per_row
    mean_of = forward.mean_of
    run_parts = forward.run_parts
    compute_output_shape = forward.compute_output_shape
    drawn = forward.drawn

    # The loss of a batch: objective.py ------------------------------------------------------------

    parts = property(objectives.parts)
    reconstruction_terms = property(objectives.reconstruction_terms)
    reconstruction_measures = property(objectives.reconstruction_measures)
    batch_statistics = property(objectives.batch_statistics)
    inputs_of_batch = objectives.inputs_of_batch
    reconstruction_phase = objectives.reconstruction_phase
    objective = objectives.objective
    compute_loss = objectives.compute_loss
    add_terms = objectives.add_terms
    sums_over_elements = property(objectives.sums_over_elements)
    reconstruction_loss = objectives.reconstruction_loss
    find_layer_losses = objectives.find_layer_losses
    note_layer_losses = objectives.note_layer_losses
    review = objectives.review

    # What a trained model is asked: inference.py, generation.py, classifier.py --------------------

    encode = inference.encode
    posterior = inference.posterior
    decode = inference.decode
    decode_codes = inference.decode_codes
    reconstruction_error = inference.reconstruction_error
    indices = inference.indices
    over_rows = inference.over_rows
    prior = property(generation.prior)
    training_prior = property(generation.training_prior)
    fit_prior = generation.fit_prior
    sample = generation.sample
    sample_codes = generation.sample_codes
    interpolate = generation.interpolate
    perturb = generation.perturb
    to_classifier = classifier.to_classifier

    def __init__(
        self,
        encoder: keras.layers.Layer,
        decoder: keras.layers.Layer,
        *,
        bottleneck: Bottleneck | None = None,
        corruption: keras.layers.Layer | None = None,
        penalties: Iterable[Penalty] = (),
        likelihood: losses.Likelihood | None = None,
        mask_value: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.encoder = encoder
        self.decoder = decoder
        self.bottleneck = bottleneck
        self.corruption = corruption
        self.penalties = list(penalties)
        self.likelihood = likelihood
        self.mask_value = mask_value
        self._own_loss = likelihood or keras.losses.MeanSquaredError()
        self._has_layer_losses = False
        self._rows = RowRunner(self)
        self._keep_prior(None)
        tie(encoder, decoder)
        if bottleneck is not None and bottleneck.prior is not None:
            # The prior may be a mixture of the model's own posteriors.
            connect = described(bottleneck.prior).connect
            connect(lambda x: bottleneck.posterior(self.features(self.inputs_of(x), False)))

    def build(self, input_shape: Any) -> None:
        """Create what is not built yet, for inputs of shape `(batch, *input_shape)`.

        Where `call` takes pairs of rows and labels, it is the rows' shape that counts.
        """
        if isinstance(input_shape[0], (list, tuple)):
            input_shape = input_shape[0]
        self._row_shape = tuple(input_shape[1:])
        output_shape = (endings.known_shape(self.decoder, "output_shape") or ())[1:]
        # Where the encoder leaves a size open, the decoder may know it.
        if len(output_shape) == len(self._row_shape):
            sizes = zip(self._row_shape, output_shape, strict=True)
            self._row_shape = tuple(out if own is None else own for own, out in sizes)
        fitting.check_encoder(self)
        with state.afresh(self):
            inputs = self.inputs_of(self._example())
            code, _ = self.run_parts(inputs, training=False)
            fitting.check_certainty(self, inputs, code)
            # A size of the code that changes with an open size of the input is open, too.
            other = code
            if None in self._row_shape:
                longer = self.inputs_of(self._example(open_size=48))
                other = self.code(self.features(longer, training=False))
            sizes = zip(code.shape[1:], other.shape[1:], strict=True)
            self._latent_shape = tuple(a if a == b else None for a, b in sizes)
            fitting.check_ending(self)
        super().build(input_shape)

    def compute_output_spec(self, *args: Any, **kwargs: Any) -> Any:
        """As Keras finds it by calling the model, which also checks what it is given."""
        return keras.Operation.compute_output_spec(self, *args, **kwargs)

    def _zeros(self, open_size=32):
        return ops.zeros((1, *(size or open_size for size in self._row_shape)))

    def _example(self, open_size=32):
        """One row of zeros, with a label where the model needs one."""
        zeros = self._zeros(open_size)
        return (zeros, ops.zeros((1,), "int32")) if self.needs_labels else zeros

    def _prepare(self):
        self.find_layer_losses()
        self._rows.clear()
        super()._prepare()

    @property
    def num_samples(self) -> int:
        """How many codes the loss sees for each row."""
        return 1 if self.bottleneck is None else self.bottleneck.num_samples

    @property
    def posterior_family(self) -> type | None:
        """The family of q(z|x), of `distributions.posteriors`; None where the code is certain."""
        return None if self.bottleneck is None else self.bottleneck.posterior_family

    @property
    def num_codes(self) -> int | None:
        """How many codes the model's codebook has; None for a model without one."""
        return None if self.bottleneck is None else self.bottleneck.num_codes

    @property
    def phases(self) -> list[Phase]:
        """The parts of a training step, in order: one, unless a subclass trains differently."""
        return objectives.phases(self)

    def _keep_prior(self, prior):
        # Keras does not track it: the density is not part of what is trained, and a built model
        # takes no new parts.
        object.__setattr__(self, "_fitted_prior", prior)

    @property
    def known_input_shape(self) -> Shape | None:
        """The encoder's input shape, where it has one before it sees data."""
        return endings.known_shape(self.encoder, "input_shape")

    @property
    def expectation(self) -> Expectation:
        """The shape the model was built for, and the range its likelihood supports."""
        return Expectation(
            self._row_shape,
            ranges.target_range(self),
            self.labels,
            self.mask_value,
            ranges.usual_range(self),
            partial(ranges.remark_on, self),
            remarks_in_steps=self._launches.jit_compile is not True,
            dtype=self.variable_dtype,
        )

    @property
    def row_shape(self) -> KnownShape:
        """Shape of one row of the input; None for a size that is open."""
        self.ensure_built()
        return self._row_shape

    @property
    def latent_shape(self) -> KnownShape:
        """Shape of one row's latent code; None for a size that is open."""
        self.ensure_built()
        return self._latent_shape

    def compile(self, optimizer: Any = "rmsprop", loss: Any = None, **kwargs: Any) -> None:
        """As `PhasedModel.compile`; a model with a likelihood has no other loss.

        Raises:
            TypeError: methods of a subclass that no step would use, as `hooks.check` says.
            ValueError: a `loss` for a model with a likelihood. A Keras loss is a mean over
                features, beside which a KL term in nats would be far too heavy. Or a loss that
                does not take what the decoder puts out.
        """
        hooks.check(self)
        if loss is not None and self.likelihood is not None:
            raise ValueError(
                f"The loss of {self.name!r} is its likelihood's, in nats, so that it balances the "
                "other terms. Choose another with the `likelihood` argument when you build it."
            )
        fitting.check_loss(self, loss)
        super().compile(optimizer, loss, **kwargs)

    def compute_metrics(
        self, x: Tensor, y: Tensor, y_pred: Tensor, sample_weight: Tensor | None = None
    ) -> dict[str, Tensor]:
        """As in Keras; for `weighted_metrics` padding has no weight."""
        mask = self.padding_mask(x)
        if mask is not None:
            mask = ops.cast(mask, self.variable_dtype)
            weight = 1.0 if sample_weight is None else ops.reshape(sample_weight, (-1, 1))
            sample_weight = mask * weight
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def save(self, filepath: AnyPath, *args: Any, **kwargs: Any) -> None:
        """As `PhasedModel.save`, to a `.keras` file."""
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"The old HDF5 format cannot hold {self.name!r}: save to a `.keras` file, or the "
                "weights alone with `save_weights`."
            )
        adapting.check(self)
        if not self._launches.running:  # What a loop has traced goes on.
            adapting.follow(self)
        super().save(filepath, *args, **kwargs)

    def export(
        self,
        filepath: AnyPath,
        format: str = "tf_saved_model",
        verbose: bool | None = None,
        input_signature: Any = None,
        **kwargs: Any,
    ) -> Any:
        """As `keras.Model.export`; the exported function gives the reconstruction.

        It takes what `call` takes: where a model needs labels, a pair of rows and labels.
        """
        self.ensure_built()
        self(self._example())  # Keras exports only a model that has been called.
        if input_signature is None and self.needs_labels:
            rows = keras.InputSpec(shape=(None, *self._row_shape), dtype=self.input_dtype, name="x")
            labels = keras.InputSpec(shape=(None,), dtype="int32", name="labels")
            input_signature = [(rows, labels)]
        with constants():
            return super().export(filepath, format, verbose, input_signature, **kwargs)

    def get_build_config(self) -> dict[str, Any] | None:
        """What `build` needs, the fitted density, what is known of the weights, what is frozen."""
        config = super().get_build_config()
        if config is None or not self.built:
            return config
        if self._fitted_prior is not None:
            prior = keras.saving.serialize_keras_object(self._fitted_prior)
            config = {**config, "fitted_prior": prior}
        return {**config, "training": evidence.to_config(self), **frozen.to_config(self)}

    def build_from_config(self, config: dict[str, Any] | None) -> None:
        """The inverse of `get_build_config`."""
        config = dict(config or {})
        prior, training = config.pop("fitted_prior", None), config.pop("training", None)
        pretrained = config.pop("pretrained", False)  # as earlier files have it
        frozen_layers = config.pop("frozen", ())
        with from_file():
            super().build_from_config(config)
        frozen.from_config(self, frozen_layers)
        if prior is not None:
            self._keep_prior(keras.saving.deserialize_keras_object(prior))
        if training is not None:
            evidence.from_config(self, training)
        if pretrained:
            self.note_pretrained()
