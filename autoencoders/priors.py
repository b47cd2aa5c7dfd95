"""Prior distributions over the latent space.

A prior gives `sample(shape, seed)`; `log_prob(z)` where it has a density; and `kl(mean,
log_variance)` where the KL from a diagonal Gaussian to it has a closed form. One whose `of_indices`
is True is a distribution over the numbers of a codebook's vectors, `(n, *places)`.
"""

import math

import keras
import numpy as np
from keras import ops

from autoencoders import divergences, draws
from autoencoders.arguments import Declared, Derived, Number, Structure
from autoencoders.registry import unknown
from autoencoders.serialization import PACKAGE


class Prior:
    """Base class of the priors that are no layers: values in, values out.

    A subclass gives `sample(shape, seed)`, where `shape` is `(n, latent_dim)` and `seed` an integer
    or a `keras.random.SeedGenerator`.
    """

    of_indices = False

    def get_config(self):
        """Nothing to configure."""
        return {}

    @classmethod
    def from_config(cls, config):
        """The inverse of `get_config`."""
        return cls(**config)


@keras.saving.register_keras_serializable(PACKAGE)
class StandardNormal(Prior):
    """The normal distribution with zero mean and unit variance in every latent dimension."""

    def sample(self, shape, seed):
        """Draw latent vectors: `shape`."""
        return draws.normal(shape, seed=seed)

    def log_prob(self, z):
        """Log-density in nats: `(n, latent_dim)` to `(n,)`."""
        zero = ops.zeros_like(z)
        return ops.sum(divergences.gaussian_log_density(z, zero, zero), axis=-1)

    def kl(self, mean, log_variance):
        """KL from a diagonal Gaussian posterior to this prior, per row, in nats."""
        return divergences.gaussian_kl(mean, log_variance)

    def kl_per_dimension(self, mean, log_variance):
        """The same, of every latent dimension."""
        return divergences.gaussian_kl_per_dimension(mean, log_variance)


@keras.saving.register_keras_serializable(PACKAGE)
class GaussianMixture(Declared, Prior):
    """A mixture of normal distributions.

    Args:
        weights: Of the components, `(components,)`; they add up to 1.
        means: `(components, latent_dim)`.
        covariances: `(components, latent_dim, latent_dim)`; or `(components, latent_dim)`, of
            dimensions that are independent within a component.
    """

    weights = Structure(serialize=np.ndarray.tolist)
    means = Structure(serialize=np.ndarray.tolist)
    covariances = Structure(serialize=np.ndarray.tolist)

    def __init__(self, weights, means, covariances):
        self.weights, self.means, self.covariances = (
            np.asarray(values, "float64") for values in (weights, means, covariances)
        )
        components, dim = self.means.shape
        shapes = [(components, dim, dim), (components, dim)]
        if self.weights.shape != (components,) or self.covariances.shape not in shapes:
            raise ValueError(
                f"{components} components of {dim} dimensions have weights ({components},) and "
                f"covariances {shapes[0]} or {shapes[1]}; got {self.weights.shape} and "
                f"{self.covariances.shape}."
            )
        if (self.weights < 0).any() or not np.isclose(self.weights.sum(), 1.0, atol=1e-3):
            raise ValueError(f"`weights` must be 0 or more and add up to 1, got {self.weights}.")
        self._diagonal = self.covariances.ndim == 2
        if self._diagonal:
            factors = np.sqrt(self.covariances)
            inverse, diagonal = 1.0 / factors, factors
        else:
            factors = np.linalg.cholesky(self.covariances)
            inverse, diagonal = np.linalg.inv(factors), np.diagonal(factors, axis1=1, axis2=2)
        log_determinants = np.log(diagonal).sum(axis=1)
        self._log_weights = np.log(np.maximum(self.weights, 1e-300)).astype("float32")
        self._log_scale = -log_determinants - 0.5 * dim * math.log(2.0 * math.pi)
        self._log_scale = self._log_scale.astype("float32")
        self._factors = factors.astype("float32")
        self._whitening = inverse.astype("float32")

    @classmethod
    def flower(cls, petals=10, radius=3.0, length=1.0, width=0.25):
        """Ellipses in the plane that point away from the origin, evenly around it.

        The prior over two dimensions of Makhzani et al., "Adversarial Autoencoders" (2015,
        arXiv:1511.05644).

        Args:
            petals: Number of components.
            radius: Distance of their means from the origin.
            length, width: Standard deviations along the radius and across it.
        """
        angles = 2.0 * np.pi * np.arange(petals) / petals
        directions = np.stack([np.cos(angles), np.sin(angles)], axis=1)
        across = directions[:, ::-1] * [-1.0, 1.0]
        covariances = length**2 * directions[:, :, None] * directions[:, None, :]
        covariances = covariances + width**2 * across[:, :, None] * across[:, None, :]
        return cls(np.full(petals, 1.0 / petals), radius * directions, covariances)

    @classmethod
    def fit(cls, codes, components=10, seed=0):
        """The mixture of highest likelihood for codes `(n, *latent_shape)`, by scikit-learn.

        Covariances are full where there are ten codes for each of their rows, otherwise diagonal.
        """
        from sklearn import mixture

        codes = np.asarray(codes, "float64").reshape(len(codes), -1)
        components = min(components, len(codes))
        # Standardised, so that what keeps the covariances definite is small beside them.
        centre, scale = codes.mean(axis=0), codes.std(axis=0)
        scale = np.maximum(scale, 1e-6 * max(scale.max(), 1e-6))
        full = len(codes) >= 10 * components * codes.shape[1]
        fitted = mixture.GaussianMixture(
            components,
            covariance_type="full" if full else "diag",
            reg_covar=1e-4,
            random_state=seed,
        ).fit((codes - centre) / scale)
        scales = scale[:, None] * scale if full else scale**2
        return cls(fitted.weights_, centre + scale * fitted.means_, scales * fitted.covariances_)

    def sample(self, shape, seed):
        """Draw latent vectors: `shape`, whose rows are flat where the components' means are."""
        n, dim = shape[0], math.prod(shape[1:])
        _check_dimensions(self, self.means.shape[1], dim)
        # The generator is asked twice, so that component and place are independent.
        first, second = (seed, seed + 1) if isinstance(seed, int) else (seed, seed)
        cumulative = np.cumsum(self.weights)[:-1].astype("float32")
        uniform = draws.uniform((n, 1), seed=first)
        component = ops.sum(ops.cast(uniform > cumulative, "int32"), axis=1)
        noise = draws.normal((n, dim), seed=second)
        factors = ops.take(self._factors, component, axis=0)
        if self._diagonal:
            scaled = factors * noise
        else:
            scaled = ops.squeeze(ops.matmul(factors, noise[..., None]), axis=-1)
        z = ops.take(self.means.astype("float32"), component, axis=0) + scaled
        return ops.reshape(z, shape)

    def log_prob(self, z):
        """Log-density in nats: `(n, *latent_shape)` to `(n,)`."""
        z = ops.reshape(z, (-1, self.means.shape[1]))
        centred = ops.expand_dims(z, 1) - self.means.astype("float32")
        if self._diagonal:
            white = centred * self._whitening
        else:
            white = ops.einsum("kij,nkj->nki", self._whitening, centred)
        logs = self._log_scale - 0.5 * ops.sum(ops.square(white), axis=-1)
        return ops.logsumexp(logs + self._log_weights, axis=1)


@keras.saving.register_keras_serializable(PACKAGE)
class SwissRoll(Declared, Prior):
    """A spiral in the plane, evenly covered along its length.

    The prior of Makhzani et al., "Adversarial Autoencoders" (2015, arXiv:1511.05644).

    Args:
        turns: How often it goes around the origin.
        radius: Distance of its outer end from the origin.
        stddev: Standard deviation of the Gaussian noise around it.
    """

    turns = Number()
    radius = Number()
    stddev = Number(at_least=0)

    def __init__(self, turns=2.0, radius=3.0, stddev=0.05):
        self.turns = turns
        self.radius = radius
        self.stddev = stddev

    @Derived
    def _whole_angle(self):
        return 2.0 * math.pi * self.turns

    def sample(self, shape, seed):
        """Draw latent vectors: `shape`, of two dimensions."""
        n, dim = shape
        _check_dimensions(self, 2, dim)
        first, second = (seed, seed + 1) if isinstance(seed, int) else (seed, seed)
        # The length up to a point grows with the square of its distance.
        share = ops.sqrt(draws.uniform((n,), seed=first))
        angle = self._whole_angle * share
        spiral = ops.stack([ops.cos(angle), ops.sin(angle)], axis=1)
        noise = self.stddev * draws.normal((n, 2), seed=second)
        return self.radius * share[:, None] * spiral + noise


@keras.saving.register_keras_serializable(PACKAGE)
class VampPrior(Declared, keras.layers.Layer):
    """The mixture of a model's own posteriors at inputs that are learned with it.

    p(z) = 1/K Σ_k q(z|u_k): Tomczak & Welling, "VAE with a VampPrior" (2018, arXiv:1705.07120).

    Args:
        row_shape: Shape of one row of the input.
        num_pseudo_inputs: K.
        low, high: The range of the data, to which the pseudo-inputs are clipped.
    """

    row_shape = Structure()
    num_pseudo_inputs = Structure()
    low = Number()
    high = Number()

    def __init__(self, row_shape, num_pseudo_inputs=500, low=0.0, high=1.0, **kwargs):
        super().__init__(**kwargs)
        self.row_shape = tuple(row_shape)
        self.num_pseudo_inputs = num_pseudo_inputs
        self.low = low
        self.high = high
        self._posterior = None

    def build(self, _=None):
        """Create the pseudo-inputs."""
        self.pseudo_inputs = self.add_weight(
            shape=(self.num_pseudo_inputs, *self.row_shape),
            initializer=keras.initializers.RandomUniform(self.low, self.high),
            name="pseudo_inputs",
        )

    def connect(self, posterior):
        """Take the model's function from rows to mean and log-variance of their posterior."""
        self._posterior = posterior

    def components(self):
        """Mean and log-variance of each component, `(num_pseudo_inputs, latent_dim)`."""
        return self._posterior(ops.clip(self.pseudo_inputs, self.low, self.high))

    def log_prob(self, z):
        """Log-density in nats: `(n, latent_dim)` to `(n,)`."""
        mean, log_variance = self.components()
        logs = divergences.gaussian_log_density(z[:, None, :], mean, log_variance)
        return ops.logsumexp(ops.sum(logs, axis=-1), axis=1) - math.log(self.num_pseudo_inputs)

    def sample(self, shape, seed):
        """Draw latent vectors: `shape`."""
        first, second = (seed, seed + 1) if isinstance(seed, int) else (seed, seed)
        chosen = draws.randint((shape[0],), 0, self.num_pseudo_inputs, seed=first)
        mean, log_variance = (ops.take(part, chosen, axis=0) for part in self.components())
        noise = draws.normal(shape, seed=second)
        return mean + ops.exp(0.5 * log_variance) * noise


@keras.saving.register_keras_serializable(PACKAGE)
class UniformCodes(Declared, Prior):
    """Codes of a codebook, each as probable, at every place apart.

    Args:
        num_codes: Vectors in the codebook.
    """

    of_indices = True
    num_codes = Structure()

    def __init__(self, num_codes):
        self.num_codes = num_codes

    def sample(self, shape, seed):
        """Draw the numbers of codes: integers of this shape."""
        return draws.randint(shape, 0, self.num_codes, seed=seed)

    def log_prob(self, indices):
        """Log-probability in nats: `(n, *places)` to `(n,)`."""
        places = math.prod(indices.shape[1:])
        return ops.full((ops.shape(indices)[0],), -places * math.log(self.num_codes))


_PRIORS = {
    "normal": StandardNormal,
    "mixture": GaussianMixture.flower,
    "swiss_roll": SwissRoll,
}


def get(prior):
    """A prior from itself or from its name: "normal", or in the plane "mixture", "swiss_roll"."""
    if hasattr(prior, "sample"):
        return prior
    if not isinstance(prior, str) or prior not in _PRIORS:
        raise ValueError(unknown("prior", prior, _PRIORS))
    return _PRIORS[prior]()


def _check_dimensions(prior, expected, given):
    if given != expected:
        raise ValueError(
            f"{type(prior).__name__} is a distribution over {expected} latent dimensions; the "
            f"model has {given}."
        )
