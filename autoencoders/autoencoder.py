"""`Autoencoder`, the base class that every model of the zoo shares."""

import re
import warnings
from contextlib import contextmanager
from functools import partial

import keras
import numpy as np
from keras import ops

from autoencoders import losses, priors
from autoencoders.arguments import Declared, Part, Structure, constants
from autoencoders.distributions.pixelcnn import PixelCNN
from autoencoders.distributions.posteriors import DiagonalGaussian
from autoencoders.distributions.priors import described
from autoencoders.layers import Bottleneck, Drawn, Encoding, Inputs
from autoencoders.networks import SequenceDecoder, tie
from autoencoders.serialization import PACKAGE
from autoencoders.training import gradients, health, randomness
from autoencoders.training.phased_model import PhasedModel, overridden
from autoencoders.training.rows import RowRunner
from autoencoders.training.step import Phase, keras_loss


def _is_bottleneck(name, value):
    if value is not None and not isinstance(value, Bottleneck):
        raise TypeError(f"`{name}` must be a layers.Bottleneck, got {value!r}.")


def _is_likelihood(name, value):
    if value is not None and not isinstance(value, losses.Likelihood):
        raise TypeError(f"`{name}` must be a losses.Likelihood, got {value!r}.")


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

    encoder = Part()
    decoder = Part()
    bottleneck = Part(_is_bottleneck)
    corruption = Part(until_built=True)
    penalties = Part()
    likelihood = Part(_is_likelihood)
    mask_value = Structure()

    def __init__(
        self,
        encoder,
        decoder,
        *,
        bottleneck=None,
        corruption=None,
        penalties=(),
        likelihood=None,
        mask_value=None,
        **kwargs,
    ):
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
            # It may be made of the model's own posteriors.
            connect = described(bottleneck.prior).connect
            connect(lambda x: bottleneck.posterior(self.features(self.inputs_of(x), False)))

    # The forward pass ---------------------------------------------------------------------------

    def build(self, input_shape):
        """Create what is not built yet, for inputs of shape `(batch, *input_shape)`."""
        self._row_shape = tuple(input_shape[1:])
        output_shape = tuple(getattr(self.decoder, "output_shape", None) or ())[1:]
        if len(output_shape) == len(self._row_shape):  # where the encoder leaves a size open
            sizes = zip(self._row_shape, output_shape, strict=True)
            self._row_shape = tuple(out if own is None else own for own, out in sizes)
        row = self._zeros()
        with randomness.afresh(self):
            code, reconstruction = self.run_parts(self.inputs_of(self._example()), training=False)
            # Sizes of the code that follow open sizes of the input are open, too.
            other = code
            if None in self._row_shape:
                longer = self.inputs_of(self._example(open_size=48))
                other = self.code(self.features(longer, training=False))
        if tuple(reconstruction.shape) != tuple(row.shape):
            raise ValueError(
                f"The decoder gives rows of shape {tuple(reconstruction.shape[1:])}, but the "
                f"input's rows have shape {tuple(row.shape[1:])}."
            )
        sizes = zip(code.shape[1:], other.shape[1:], strict=True)
        self._latent_shape = tuple(a if a == b else None for a, b in sizes)
        super().build(input_shape)

    def _zeros(self, open_size=32):
        return ops.zeros((1, *(size or open_size for size in self._row_shape)))

    def _example(self, open_size=32):
        """One row of zeros, with a label where the model needs one."""
        zeros = self._zeros(open_size)
        return (zeros, ops.zeros((1,), "int32")) if self.needs_labels else zeros

    def run_parts(self, inputs, training):
        """Call every part once, as `build` needs it; a subclass adds its own.

        Args:
            inputs: `layers.Inputs`.
            training: Whether to run the parts as in training.

        Returns:
            The code and the reconstruction.
        """
        features = self.features(inputs, training)
        code = self.code(features)  # which builds the bottleneck, that may draw then
        encoding = self._encoding(inputs, features, training)
        for penalty in self.penalties:
            penalty.of(encoding)
        return code, self.reconstruct(code, inputs, training)

    def _prepare(self):
        self.find_layer_losses()
        self._rows.clear()
        super()._prepare()

    def find_layer_losses(self):
        """Find out which parts have losses of their own: before the first step of training."""
        # It shows only when they are called. Within the scope nothing that they update (moving
        # averages, generators) is kept.
        values = [(variable, variable.value) for variable in self.variables]
        with keras.StatelessScope(values, collect_losses=True):
            self.run_parts(self.inputs_of(self._example()), training=True)
            self.note_layer_losses()

    def note_layer_losses(self):
        """Note, right after `run_parts`, which parts have losses of their own."""
        self._has_layer_losses = bool(self._layer_losses())

    @property
    def parts(self):
        """The layers that the reconstruction phase runs."""
        parts = (self.corruption, self.encoder, self.bottleneck, *self.penalties, self.decoder)
        return [part for part in parts if part is not None]

    def _layer_losses(self):
        of_parts = (loss for part in self.parts for loss in part.losses)
        return [*self._get_own_losses(), *of_parts]

    def call(self, x, training=None):
        """The reconstruction of x, of the same shape; what `predict` returns."""
        inputs = self.inputs_of(x)
        features = self.features(inputs, training)
        if training:
            latent = self._drawn(features, training).latent[:: self.num_samples]
        else:
            latent = self.code(features)
        return self.reconstruct(latent, inputs, training)

    @property
    def num_samples(self):
        """How many codes the loss sees for each row."""
        return 1 if self.bottleneck is None else self.bottleneck.num_samples

    def inputs_of(self, x):
        """The `layers.Inputs` of what `call` takes: rows, or rows and labels."""
        if isinstance(x, Inputs):
            return x
        rows, labels = x if self.needs_labels else (x, None)
        return Inputs(rows, labels, self.padding_mask(rows))

    def padding_mask(self, rows):
        """Where the steps of series are no padding, `(batch, steps)`; None without a mask value."""
        if self.mask_value is None:
            return None
        # At the precision of the rows, which Keras lowers on their way into the model.
        return ops.any(ops.not_equal(rows, ops.cast(self.mask_value, rows.dtype)), axis=-1)

    def features(self, inputs, training, corrupt=True):
        """What the encoder gives: `(batch, ...)`.

        Args:
            inputs: `layers.Inputs`.
            training: Whether to run as in training, with corruption and dropout.
            corrupt: False to leave the corruption out in training, too.
        """
        rows = inputs.rows
        if corrupt and self.corruption is not None:
            rows = self.corruption(rows, training=training)
        if inputs.mask is None:  # it is of the clean input: noise would hide the padding
            return self.encoder(rows, training=training)
        rows = ops.copy(rows)  # on which Keras notes the mask
        with self._masks_pass():
            return self.encoder(rows, training=training, mask=inputs.mask)

    @contextmanager
    def _masks_pass(self):
        """Without Keras's warning that a model loses a mask, whose layers get it all the same."""
        with warnings.catch_warnings():
            if isinstance(self.encoder, keras.Model):
                name = re.escape(self.encoder.name)
                warnings.filterwarnings("ignore", f"Layer '{name}' .* an input with a mask")
            yield

    def code(self, features):
        """The deterministic code of features: `(batch, *latent_shape)`."""
        return features if self.bottleneck is None else self.bottleneck(features)

    def _drawn(self, features, training):
        if self.bottleneck is None:
            return Drawn(features, {})
        return Drawn(*self.bottleneck.draw(features, training))

    def encoding(self, inputs, training):
        """The `layers.Encoding` of `layers.Inputs`: their features, and what is drawn from them."""
        return self._encoding(inputs, self.features(inputs, training), training)

    def _encoding(self, inputs, features, training):
        def code(rows):
            others = inputs._replace(rows=rows)
            return self.code(self.features(others, training, corrupt=False))

        vector_jacobian = partial(gradients.vector_jacobian, code, inputs.rows)
        plain = self.bottleneck is None and self.corruption is None
        encoder = self.encoder if plain else None
        drawn = self._drawn(features, training)
        return Encoding(inputs, features, drawn, training, encoder, vector_jacobian)

    def decoder_output(self, latent, inputs, training, target=None):
        """What the decoder puts out for codes: with the target, as many as the loss sees.

        Args:
            latent: Codes `(batch, *latent_shape)`; with a target `num_samples` for each row.
            inputs: The `layers.Inputs` whose codes they are.
            training: Whether to run as in training.
            target: What they are to become, for decoders that are shown it in training.
        """
        if not isinstance(self.decoder, SequenceDecoder):
            return self.decoder(latent, training=training)
        mask = inputs.mask
        if target is not None:
            mask, target = self.repeated(mask), self.repeated(target)
            target = target if training else None
        steps = ops.shape(inputs.rows)[1]
        return self.decoder(latent, steps=steps, mask=mask, target=target, training=training)

    def reconstruct(self, latent, inputs, training=None):
        """The reconstruction from one code for each row; padding comes back as it is."""
        reconstruction = self.mean_of(self.decoder_output(latent, inputs, training))
        if inputs.mask is not None:
            mask = inputs.mask[..., None]
            reconstruction = ops.where(mask, reconstruction, self.mask_value)
        return reconstruction

    def repeated(self, rows):
        """Each row as often as the loss sees a code of it; None stays None."""
        if rows is None or self.num_samples == 1:
            return rows
        return ops.repeat(rows, self.num_samples, axis=0)

    def mean_of(self, output):
        """The reconstruction that the decoder's output stands for: its likelihood's mean."""
        output = ops.cast(output, self.variable_dtype)
        return output if self.likelihood is None else self.likelihood.mean(output)

    # What a trained model is asked ----------------------------------------------------------------

    def encode(self, x):
        """The latent code, deterministic (for variational models the posterior mean).

        Args:
            x: Array or tensor `(n, *input_shape)`.

        Returns:
            `(n, latent_dim)`: a NumPy array for an array, a tensor for a tensor.

        Raises:
            ValueError: NaN, wrong shape or wrong dtype in an array.
        """
        return self._over_rows("encode", lambda inputs: self.code(self.features(inputs, False)), x)

    @property
    def posterior_family(self):
        """The family of q(z|x), of `distributions.posteriors`; None where the code is certain."""
        return None if self.bottleneck is None else self.bottleneck.posterior_family

    @property
    def num_codes(self):
        """How many codes the model's codebook has; None for a model without one."""
        return None if self.bottleneck is None else self.bottleneck.num_codes

    def posterior(self, x):
        """Mean and log-variance of q(z|x) of a variational model, each `(n, latent_dim)`.

        Raises:
            ValueError: the model has no posterior.
        """
        if self.posterior_family is not DiagonalGaussian:
            raise ValueError(f"{self.name!r} is not variational: it has no posterior; use encode.")

        def posterior(inputs):
            return self.bottleneck.posterior(self.features(inputs, False))

        return self._over_rows("posterior", posterior, x)

    def decode(self, z, *, steps=None):
        """The reconstruction from latent codes: `(n, latent_dim)` to `(n, *input_shape)`.

        Args:
            z: Array or tensor of codes.
            steps: The length of the series to put out, for a model of series of any length.

        Returns:
            NumPy array for an array, tensor for a tensor.

        Raises:
            ValueError: NaN, wrong shape or wrong dtype in an array.
        """
        return self._over_rows(("decode", steps), partial(self._decode, steps=steps), z, codes=True)

    def _decode(self, latent, steps=None):
        if not isinstance(self.decoder, SequenceDecoder):
            if steps is not None:
                raise ValueError(f"{self.name!r} reconstructs rows of one length: no `steps`.")
            return self.mean_of(self.decoder(latent, training=False))
        steps = steps or self._row_shape[0]
        if steps is None:
            raise ValueError(f"{self.name!r} reconstructs series of any length: pass `steps`.")
        return self.mean_of(self.decoder(latent, steps=steps, training=False))

    def reconstruction_error(self, x, *, per_feature=False, batch_size=None):
        """How badly each row is reconstructed; high for what the model has not learnt.

        Args:
            x: Array `(n, *input_shape)`.
            per_feature: Return the squared error of every feature rather than their mean.
            batch_size: The most rows computed at once; it bounds memory.

        Returns:
            NumPy array: the mean squared error over the features (but those of padding), `(n,)`, or
            the squared errors, `(n, *input_shape)`. A row's error does not depend on which other
            rows are in x.

        Raises:
            ValueError: NaN, wrong shape or wrong dtype.
        """

        def squared_error(inputs):
            return ops.square(ops.cast(inputs.rows, self.variable_dtype) - self(inputs.given))

        def error(inputs):
            errors = squared_error(inputs)
            errors = ops.reshape(errors, (ops.shape(errors)[0], -1))
            if inputs.mask is None:
                return ops.mean(errors, axis=-1)
            steps = ops.sum(ops.cast(inputs.mask, errors.dtype), axis=-1)  # padding has no error
            return ops.divide_no_nan(ops.sum(errors, axis=-1), steps * self._row_shape[-1])

        function = squared_error if per_feature else error
        x = keras.tree.map_structure(_to_numpy, x)
        return self._over_rows(function.__name__, function, x, batch_size=batch_size)

    def fit_prior(self, x, *, validation_data=None, seed=0, **options):
        """Fit a density to the codes of x, for `sample` to draw from: any model then generates.

        Codes are taken as `encode` gives them, and the density is a Gaussian mixture of them
        (`priors.GaussianMixture`; Ghosh et al., "From variational to deterministic autoencoders",
        2020, arXiv:1903.12436). Over the codes of a codebook it is a `PixelCNN`, trained here as
        van den Oord et al. (2017, arXiv:1711.00937) do. Nothing else in the model changes, and
        its training goes on as if there were no density, which is saved with it. It is of the codes
        as they are now: after more training fit it again.

        Args:
            x: What `encode` takes. A model of labelled rows has one density for all classes.
            validation_data: Other rows, whose loss is reported beside.
            seed: Integer; the same rows and seed give the same density.
            options: `components` of a mixture (10); `filters` (64) and `blocks` (3) of a PixelCNN,
                and how it is trained: `epochs` (20), `batch_size` (64), `learning_rate` (0.001),
                `verbose`, `callbacks`.

        Returns:
            Dict of lists, as `fit(...).history`: `loss`, the mean of −log p(code) in nats by epoch
            (a mixture has one), and `val_loss` if it is asked for.

        Raises:
            ValueError: bad rows, or codes over which there can be no density.
            TypeError: an option that such a density does not have.
        """
        if self.labels is not None and not self.needs_labels:
            raise ValueError(
                f"{self.name!r} has a prior over classes and styles: it needs no other."
            )
        discrete = self.num_codes is not None
        seed = 0 if seed is None else int(seed)

        def codes(rows):
            if rows is None:
                return None
            rows = keras.tree.map_structure(_to_numpy, rows)
            return (
                self._over_rows("indices", self._indices, rows) if discrete else self.encode(rows)
            )

        own, held_out = codes(x), codes(validation_data)
        if None in self.latent_shape:
            raise ValueError(f"{self.name!r} has codes of open shape {self.latent_shape}.")
        if discrete:
            sizes = {name: options.pop(name) for name in ("filters", "blocks") if name in options}
            prior = PixelCNN(own.shape[1:], self.num_codes, seed=seed, **sizes)
            history = prior.fit(own, held_out, **options)
        else:
            prior = priors.GaussianMixture.fit(own, seed=seed, **options)
            given = {"loss": own, "val_loss": held_out}
            history = {
                name: [-self._mean_log_prob(prior, rows)]
                for name, rows in given.items()
                if rows is not None
            }
        self._keep_prior(prior)
        return history

    @staticmethod
    def _mean_log_prob(prior, codes):
        chunks = [codes[i : i + 256] for i in range(0, len(codes), 256)]  # to bound memory
        return float(np.mean(np.concatenate([prior.log_prob(chunk) for chunk in chunks])))

    def _indices(self, inputs):
        return self.bottleneck.indices(self.features(inputs, False))

    def _keep_prior(self, prior):
        # Beside Keras's tracking: it is no part of what is trained, and a built model is locked.
        object.__setattr__(self, "_fitted_prior", prior)

    def sample(self, n, *, labels=None, seed=None, steps=None):
        """New data: `n` draws from the prior, decoded.

        Args:
            n: How many.
            labels: For models of labelled rows, the classes to draw: integers `(n,)`, or one.
            seed: Integer, to get the same draws again.
            steps: The length of the series to draw, for a model of series of any length.

        Returns:
            NumPy array `(n, *input_shape)`.

        Raises:
            ValueError: the model has no prior to draw from, or takes no labels.
        """
        if labels is not None:
            raise ValueError(f"{self.name!r} knows no classes: it takes no `labels`.")
        return self.decode(self.sample_codes(n, seed), steps=steps)

    def sample_codes(self, n, seed=None):
        """`n` draws from the prior, `(n, *latent_shape)`, as a NumPy array.

        Raises:
            ValueError: the model has no prior to draw from.
        """
        if n < 0:
            raise ValueError(f"`n` must be 0 or more, got {n}.")
        prior = self.prior
        if prior is None:
            raise ValueError(
                f"{self.name!r} has no prior to sample from. Generative models do: the "
                "variational, adversarial and discrete families. Others get one by `fit_prior(x)`."
            )
        if None in self.latent_shape:
            raise ValueError(f"{self.name!r} has codes of open shape {self.latent_shape}.")
        if seed is None:  # a prior may draw twice, each time from a number
            seed = np.random.default_rng().integers(2**31 - 1)
        seed = int(seed)
        shape = (n, *self.latent_shape)
        if described(prior).of_indices:
            return ops.convert_to_numpy(self.bottleneck.lookup(prior.sample(shape[:-1], seed=seed)))
        codes = prior.sample(shape, seed=seed)
        if self.bottleneck is not None:
            codes = self.bottleneck.nearest(codes)
        return ops.convert_to_numpy(codes)

    def interpolate(self, a, b, steps=9):
        """Reconstructions along the straight line between two rows' latent codes.

        Args:
            a, b: Arrays of shape `input_shape`, one row each.
            steps: How many points, ends included.

        Returns:
            NumPy array `(steps, *input_shape)`.
        """
        ends = np.stack([a, b])
        start, end = self.encode(ends)
        weight = np.linspace(0.0, 1.0, steps, dtype=start.dtype).reshape(-1, *[1] * start.ndim)
        line = (1.0 - weight) * start + weight * end
        return self.decode(line, steps=self._open_steps(ends))

    def perturb(self, x, *, mean=0.0, variance=1.0, samples=1, seed=None):
        """Reconstructions from codes drawn around those of x: z ~ N(μ + mean, variance · σ²).

        Args:
            x: What `encode` takes: array `(n, *input_shape)`.
            mean: What is added to the posterior's mean μ: a number, or one for each latent
                dimension.
            variance: Factor of the posterior's variance σ²; 0 for none. Models without a
                posterior have no variance.
            samples: Draws for each row.
            seed: Integer, to get the same draws again.

        Returns:
            NumPy array `(n, samples, *input_shape)`.

        Raises:
            ValueError: a negative variance.
        """
        if variance < 0:
            raise ValueError(f"`variance` must be 0 or more, got {variance}.")
        if samples < 1:
            raise ValueError(f"`samples` must be 1 or more, got {samples}.")
        x = tuple(x) if self.needs_labels else x
        if self.posterior_family is DiagonalGaussian:
            centre, log_variance = self.posterior(x)
            deviation = np.sqrt(variance) * np.exp(0.5 * log_variance)
        else:
            centre, deviation = self.encode(x), 0.0
        noise = np.random.default_rng(seed).normal(size=(samples, *centre.shape))
        z = (centre + np.asarray(mean) + deviation * noise).astype(centre.dtype)
        if isinstance(x, tuple):
            rows = [self.decode((part, x[1])) for part in z]
        else:
            rows = [self.decode(part, steps=self._open_steps(x)) for part in z]
        return np.stack(rows, axis=1)

    def _open_steps(self, x):
        """The length of the series x, for a model that leaves it open; None for another."""
        return np.shape(x)[1] if self.row_shape[0] is None else None

    def to_classifier(self, num_classes, *, name=None):
        """A classifier of the latent codes: this model's encoder with a softmax layer behind it.

        It shares its layers with this model: training it changes the encoder here, too, whose
        decoder then no longer fits (and, with tied weights, changes). To keep a copy, save this
        model first. To train the new layer alone, set `trainable = False` on the encoder (and the
        bottleneck) beforehand.

        Args:
            num_classes: Number of classes.
            name: Name of the classifier.

        Returns:
            `keras.Model` from `(n, *input_shape)` to class probabilities `(n, num_classes)`,
            compiled for integer labels with Adam, to be compiled otherwise at will.

        Raises:
            ValueError: less than two classes, codes of no fixed shape, or codes that need labels.
        """
        if not isinstance(num_classes, (int, np.integer)) or num_classes < 2:
            raise ValueError(f"`num_classes` must be an integer, 2 or more; got {num_classes!r}.")
        if None in self.latent_shape:
            raise ValueError(f"{self.name!r} has codes of open shape {self.latent_shape}.")
        if self.needs_labels:
            raise ValueError(f"{self.name!r} needs labels to encode: they cannot be what it tells.")
        rows = x = keras.Input(self.row_shape, name="rows")
        if self.mask_value is not None:
            x = keras.layers.Masking(self.mask_value)(x)
        with self._masks_pass():
            code = self.encoder(x)
        if self.bottleneck is not None:
            code = self.bottleneck.code_layer()(code)
        if len(self.latent_shape) > 1:
            code = keras.layers.Flatten(name="flatten")(code)
        head = keras.layers.Dense(
            int(num_classes), activation="softmax", dtype=self.variable_dtype, name="classes"
        )
        classifier = keras.Model(rows, head(code), name=name or f"{self.name}_classifier")
        classifier.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
        return classifier

    @property
    def prior(self):
        """The distribution that `sample` draws latent codes from, or None.

        The one that `fit_prior` fitted, before that `training_prior`.
        """
        return self.training_prior if self._fitted_prior is None else self._fitted_prior

    @property
    def training_prior(self):
        """The distribution towards which training draws the codes, or None."""
        parts = (self.bottleneck, *self.penalties)
        found = (part.prior for part in parts if part is not None)
        return next((prior for prior in found if prior is not None), None)

    @property
    def known_input_shape(self):
        """The encoder's input shape, where it has one before it sees data."""
        return getattr(self.encoder, "input_shape", None)

    @property
    def expectation(self):
        """The shape the model was built for, and the range its likelihood supports."""
        support = losses.Likelihood.support if self.likelihood is None else self.likelihood.support
        return health.Expectation(self._row_shape, support, self.labels, self.mask_value)

    @property
    def row_shape(self):
        """Shape of one row of the input."""
        self.ensure_built()
        return self._row_shape

    @property
    def latent_shape(self):
        """Shape of one row's latent code."""
        self.ensure_built()
        return self._latent_shape

    def _over_rows(self, name, function, x, *, codes=False, batch_size=None):
        parts = x if isinstance(x, tuple) else (x,)
        if all(ops.is_tensor(part) or isinstance(part, keras.KerasTensor) for part in parts):
            return function(x if codes else self.inputs_of(x))
        self.ensure_built(None if codes else x)
        if codes:
            arrays = health.Expectation(self.latent_shape, labels=self.labels).inputs(x, "z")
        else:
            arrays = self.expectation.inputs(x)
        # Labels stay the integers that they are.
        arrays = (arrays[0].astype(self.variable_dtype, copy=False), *arrays[1:])
        # A codebook's distances or logits may be far larger than the row itself.
        codes_of_row = np.prod([size or 1 for size in self.latent_shape[:-1]])
        row_bytes = int(4 * codes_of_row * (self.num_codes or 0))

        def of_batch(*parts):
            given = parts if len(parts) > 1 else parts[0]
            return function(given if codes else self.inputs_of(given))

        return self._rows.run(name, of_batch, arrays, batch_size, row_bytes)

    # The objective --------------------------------------------------------------------------------

    @property
    def phases(self):
        """The parts of a training step, in order: `training.step.Phase` instances.

        One, over all trainable variables, unless a subclass trains differently.
        """
        return [
            Phase(
                "reconstruction",
                self.reconstruction_phase,
                self.reconstruction_terms,
                self.trainable_variables,
                self.reconstruction_measures,
            )
        ]

    @property
    def reconstruction_terms(self):
        """Names of the reconstruction phase's loss terms, in the order they are logged."""
        parts = () if self.bottleneck is None else self.bottleneck.loss_terms
        penalties = tuple(penalty.loss_term for penalty in self.penalties)
        layers = ("regularization_loss",) if self._has_layer_losses else ()
        return ("reconstruction_loss", *parts, *penalties, *layers)

    @property
    def reconstruction_measures(self):
        """Names of what the reconstruction phase logs beside its loss terms."""
        return () if self.bottleneck is None else self.bottleneck.measures

    @property
    def batch_statistics(self):
        """Those terms and measures that are estimated from a batch as a whole: they vary with its
        size, where the others are means over rows.
        """
        own = () if self.bottleneck is None else self.bottleneck.batch_statistics
        return (*own, *(p.loss_term for p in self.penalties if p.batch_statistic))

    def inputs_of_batch(self, batch):
        """The `layers.Inputs` of a `training.step.Batch`."""
        return self.inputs_of((batch.x, batch.labels) if self.needs_labels else batch.x)

    def reconstruction_phase(self, batch, training):
        """The loss terms of a batch: reconstruction, bottleneck, penalties, regularization."""
        self._clear_losses()  # those of the last call, which may be of another graph
        encoding = self.encoding(self.inputs_of_batch(batch), training)
        output = self.decoder_output(encoding.latent, encoding.inputs, training, batch.target)
        values = self.objective(batch, encoding, output)
        for penalty in self.penalties:
            values[penalty.loss_term] = self.per_row(penalty.of(encoding))
        if self._has_layer_losses:
            values["regularization_loss"] = sum(self._layer_losses())
        if training and self.bottleneck is not None:
            self.bottleneck.advance(encoding)
        return values

    def objective(self, batch, encoding, output):
        """The loss terms but those of penalties and layers; a subclass adds its own, or replaces.

        Args:
            batch: A `training.step.Batch`.
            encoding: Its `layers.Encoding`.
            output: What the decoder put out for `encoding.latent`.

        Returns:
            Dict of terms and measures by name, each a scalar or `(batch,)`.
        """
        loss = self.reconstruction_loss(batch, encoding, output)
        return {"reconstruction_loss": loss, **encoding.terms}

    def review(self, logs):
        """Warn if training ended in posterior collapse: a latent space that the decoder ignores."""
        active = logs.get("active_units")
        units = getattr(self.bottleneck, "latent_dim", 0)
        if active is not None and active < max(0.5, 0.1 * units):
            warnings.warn(
                f"Posterior collapse: {active:.0f} of {units} latent units of {self.name!r} are "
                "active (their posterior mean varies from row to row), so its reconstructions and "
                "codes say little about the input. Less weight on the KL helps: a smaller `beta`, "
                "`warm_up` or `free_bits`.",
                stacklevel=3,
            )

    def per_row(self, values):
        """The mean over a row's codes, where there is a value for each code."""
        if self.num_samples == 1 or len(values.shape) == 0:
            return values
        return ops.mean(ops.reshape(values, (-1, self.num_samples)), axis=-1)

    def reconstruction_loss(self, batch, encoding, output):
        """The scalar loss of the decoder's `output`, weighted by the batch's sample weights."""
        loss = self.compiled_loss or self._own_loss
        output = output if self.likelihood else self.mean_of(output)
        target, weight, mask = (
            self.repeated(part)
            for part in (batch.target, batch.sample_weight, encoding.inputs.mask)
        )
        return keras_loss(loss, target, output, weight, mask)

    def compile(self, optimizer="rmsprop", loss=None, **kwargs):
        """As `PhasedModel.compile`; a model with a likelihood has no other loss.

        Raises:
            TypeError: a subclass with a `call` or `compute_loss` of its own, which no step uses.
            ValueError: a `loss` for a model with a likelihood. A Keras loss is a mean over
                features, beside which a KL term in nats would be far too heavy.
        """
        self._refuse("compute_loss", "`objective(batch, encoding, output)`")
        if not overridden(self, "phases") and not overridden(self, "reconstruction_phase"):
            self._refuse("call", "`features`, `decoder_output` or `reconstruct`")
        if loss is not None and self.likelihood is not None:
            raise ValueError(
                f"The loss of {self.name!r} is its likelihood's, in nats, so that it balances the "
                "other terms. Choose another with the `likelihood` argument when you build it."
            )
        super().compile(optimizer, loss, **kwargs)

    def _refuse(self, name, hook):
        """Raise a TypeError for a method of a subclass that training would do without."""
        if overridden(self, name):
            raise TypeError(
                f"Training does not use the `{name}` of {type(self).__name__}: override {hook} "
                "instead, or `phases`."
            )

    # Saving ---

    def compute_metrics(self, x, y, y_pred, sample_weight=None):
        """As in Keras; for `weighted_metrics` padding has no weight."""
        mask = self.padding_mask(x)
        if mask is not None:
            mask = ops.cast(mask, self.variable_dtype)
            weight = 1.0 if sample_weight is None else ops.reshape(sample_weight, (-1, 1))
            sample_weight = mask * weight
        return super().compute_metrics(x, y, y_pred, sample_weight)

    def save(self, filepath, *args, **kwargs):
        """As `keras.Model.save`, to a `.keras` file."""
        if str(filepath).endswith((".h5", ".hdf5")):
            raise ValueError(
                f"The old HDF5 format cannot hold {self.name!r}: save to a `.keras` file, or the "
                "weights alone with `save_weights`."
            )
        super().save(filepath, *args, **kwargs)

    def export(self, *args, **kwargs):
        """As `keras.Model.export`; the exported function gives the reconstruction."""
        self.ensure_built()
        self(self._example())  # Keras exports only what has been called
        with constants():
            return super().export(*args, **kwargs)

    def get_build_config(self):
        """What `build` needs, and the fitted density, which is no argument of the constructor."""
        config = super().get_build_config()
        if config and self._fitted_prior is not None:
            prior = keras.saving.serialize_keras_object(self._fitted_prior)
            config = {**config, "fitted_prior": prior}
        if config and self._pretrained:
            config = {**config, "pretrained": True}
        return config

    def build_from_config(self, config):
        """The inverse of `get_build_config`."""
        config = dict(config or {})
        prior = config.pop("fitted_prior", None)
        self._pretrained = config.pop("pretrained", False)
        super().build_from_config(config)
        if prior is not None:
            self._keep_prior(keras.saving.deserialize_keras_object(prior))


def _to_numpy(x):
    return ops.convert_to_numpy(x) if ops.is_tensor(x) else x
