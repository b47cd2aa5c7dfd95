"""Sprites: 737,280 pictures of shapes whose factors of variation are known, drawn on the fly.

After dSprites (Matthey, Higgins, Hassabis & Lerchner, "dSprites: Disentanglement testing Sprites
dataset", 2017): the same factors with as many values, in the same order. It is another drawing of
them, and its 40 orientations are 40 different ones, where those of dSprites hold both 0 and 2π.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, DTypeLike

from autoencoders.checks import check_integers

if TYPE_CHECKING:
    import keras

_SHAPES = ("square", "ellipse", "heart")
_SCALES = np.linspace(0.5, 1.0, 6)
_ORIENTATIONS = 40
_POSITIONS = 32
# After so many orientations a shape looks the same again.
_PERIODS = (_ORIENTATIONS // 4, _ORIENTATIONS // 2, _ORIENTATIONS)

_PIXELS = 64
# A sprite is drawn once, in the middle of a canvas; each position is another window of that canvas.
_CANVAS = _PIXELS + _POSITIONS - 1
# Every window holds the pixels around the middle up to this distance: the largest sprite's radius.
_RADIUS = (_PIXELS - _POSITIONS) // 2
_SUBPIXELS = 8

_MOST_IN_MEMORY = 2**16  # 1 GiB


class _Images(ABC):
    """What a data set of sprites and its subsets have in common with an array of images."""

    @abstractmethod
    def __len__(self) -> int:
        """How many images there are."""

    @abstractmethod
    def __getitem__(self, indices: slice | ArrayLike) -> np.ndarray:
        """The images of these indices, as new float32 arrays."""

    dtype: np.dtype[np.float32] = np.dtype("float32")
    ndim: int = 4

    @property
    def shape(self) -> tuple[int, int, int, int]:
        """`(n, 64, 64, 1)`, as of an array."""
        return (len(self), _PIXELS, _PIXELS, 1)

    def __array__(self, dtype: DTypeLike | None = None, copy: bool | None = None) -> np.ndarray:
        if len(self) > _MOST_IN_MEMORY:
            raise ValueError(
                f"{len(self)} images would take {len(self) * 2**14 / 2**30:.1f} GiB of memory. "
                "`batches(batch_size)` makes them as `fit` and `evaluate` need them; for an array "
                "take fewer, as in `data[:10_000]`."
            )
        return np.asarray(self[:], dtype)

    def batches(
        self,
        batch_size: int = 128,
        *,
        steps: int | None = None,
        seed: int = 0,
        shuffle: bool = True,
    ) -> keras.utils.PyDataset:
        """Batches of images for `fit` and `evaluate`, made as they are needed.

        Epoch `e` of a model's life has the order drawn from `(seed, e)`: training that is resumed
        sees what uninterrupted training sees, if it resumes with
        `initial_epoch=model.epochs_trained` as for arrays. Every evaluation sees that of epoch 0.

        Args:
            batch_size: Images in a batch; the last of a pass over the images holds the rest.
            steps: Batches in an epoch. None for one pass over all images; otherwise an epoch goes
                on where the one before ended (without `shuffle` it begins anew).
            seed: Integer, 0 or more.
            shuffle: Whether each pass has an order of its own.

        Returns:
            A `keras.utils.PyDataset` of arrays `(batch_size, 64, 64, 1)`.

        Raises:
            ValueError: a batch size, a number of steps or a seed that cannot be one.
        """
        from autoencoders.datasets.batches import Batches  # which imports Keras

        return Batches(self, batch_size, steps=steps, seed=seed, shuffle=shuffle)


class Sprites(_Images):
    """The whole data set. It is indexed as an array of shape `(737280, 64, 64, 1)` is.

    `sprites[3]`, `sprites[:100]` and `sprites[[5, 2]]` are new float32 arrays of zeros and ones.

    An image has five factors, each an integer from 0:

    - `shape`: square, ellipse, heart;
    - `scale`: 6 sizes, linearly from half to whole;
    - `orientation`: 40 angles, 9° each, counter-clockwise;
    - `position_x`: 32 places of the shape's centre of mass, a pixel each, to the right;
    - `position_y`: the same, downwards.

    All combinations are there, the last factor changing fastest. No sprite is cut by the border.
    The images differ from one another, except that a square looks the same after 10 orientations,
    and an ellipse after 20.
    """

    factor_names: tuple[str, ...] = ("shape", "scale", "orientation", "position_x", "position_y")
    factor_sizes: tuple[int, ...] = (
        len(_SHAPES),
        len(_SCALES),
        _ORIENTATIONS,
        _POSITIONS,
        _POSITIONS,
    )

    def __len__(self) -> int:
        return math.prod(self.factor_sizes)

    def __getitem__(self, indices: slice | ArrayLike) -> np.ndarray:
        return _drawn(self.factors(indices))

    def factors(self, indices: slice | ArrayLike) -> np.ndarray:
        """The factors of images, `(n, 5)` int64.

        Args:
            indices: Integers `(n,)`, or a slice; one integer gives `(5,)`.

        Raises:
            ValueError: indices that are not integers.
            IndexError: there is no such image.
        """
        rows = _rows(indices, len(self))
        return np.stack(np.unravel_index(rows, self.factor_sizes), axis=-1).astype("int64")

    def indices(self, factors: ArrayLike) -> np.ndarray:
        """The places of images in the data set, `(n,)` int64: the inverse of `factors`.

        Args:
            factors: Integers `(n, 5)`.

        Raises:
            ValueError: factors that no image has.
        """
        columns = np.moveaxis(self._checked(factors), -1, 0)
        # By NumPy's own types, this gives one number.
        return np.ravel_multi_index(columns, self.factor_sizes)  # pyright: ignore[reportReturnType]

    def images(self, factors: ArrayLike) -> np.ndarray:
        """The images that have these factors, `(n, 64, 64, 1)`.

        Args:
            factors: Integers `(n, 5)`.

        Raises:
            ValueError: factors that no image has.
        """
        return _drawn(self._checked(factors))

    def sample(
        self, n: int, rng: np.random.Generator | int | None = None, **fixed: int
    ) -> np.ndarray:
        """Factors drawn independently and uniformly, `(n, 5)` int64.

        Args:
            n: How many.
            rng: `numpy.random.Generator`, or a seed for one.
            fixed: Values of factors, by name, that all of them have: `shape=2`.

        Raises:
            ValueError: an unknown factor, or a value that it does not have; an `n` that
                is not a number of rows.
        """
        check_integers(0, n=n)
        factors = np.random.default_rng(rng).integers(self.factor_sizes, size=(n, 5))
        for name, value in fixed.items():
            if name not in self.factor_names:
                raise ValueError(f"There is no factor {name!r}, only {self.factor_names}.")
            if np.asarray(value).dtype.kind not in "iu":
                raise ValueError(f"The factor {name!r} must be an integer, got {value!r}.")
            factors[:, self.factor_names.index(name)] = value
        return self._checked(factors)

    def split(self, test: float = 0.1, seed: int = 0) -> tuple[Subset, Subset]:
        """Two parts that have no picture in common: for training and for testing.

        The orientations in which a shape looks the same stay together. The images of each part are
        in random order, so that the first of them are a sample.

        Args:
            test: Share of the images that are held out, up to such pictures as stay together.
            seed: Integer, 0 or more; the same one gives the same parts.

        Returns:
            `(train, test)`, two `Subset`s.

        Raises:
            ValueError: a share that leaves one part without images; a seed that is not an integer.
        """
        check_integers(0, seed=seed)
        if not 0 < test < 1:
            raise ValueError(f"`test` must be a share between 0 and 1, got {test}.")
        size = len(self)
        held_out = round(size * test)
        if not 4 <= held_out < size:
            part = "test" if held_out < 4 else "training"
            raise ValueError(f"`test={test}` of {size} images leaves the {part} part empty.")
        pictures = np.arange(size, dtype="int32").reshape(self.factor_sizes)
        for shape, period in enumerate(_PERIODS):
            pictures[shape] = pictures[shape][:, np.arange(_ORIENTATIONS) % period]
        rng = np.random.default_rng(seed)
        numbers = rng.permutation(size)[pictures.reshape(-1)]
        is_test = numbers < np.partition(numbers, held_out)[held_out]
        rows = rng.permutation(size).astype("int32")
        return Subset(self, rows[~is_test[rows]]), Subset(self, rows[is_test[rows]])

    def _checked(self, factors: ArrayLike) -> np.ndarray:
        factors = np.asarray(factors)
        if factors.dtype.kind not in "iu" or factors.shape[-1:] != (len(self.factor_sizes),):
            raise ValueError(
                f"Factors must be integers of shape (n, 5), {self.factor_names}; got "
                f"{factors.dtype} of shape {factors.shape}."
            )
        wrong = (factors < 0) | (factors >= self.factor_sizes)
        if wrong.any():
            column = np.argwhere(wrong)[0][-1]
            name, size = self.factor_names[column], self.factor_sizes[column]
            raise ValueError(
                f"The factor {name!r} must be 0 to {size - 1}, got {factors[wrong][0]}."
            )
        return factors.astype("int64")


class Subset(_Images):
    """Some of the sprites, indexed as an array of as many images is.

    Attributes:
        whole: The `Sprites` they are of.
        rows: Their places there, `(n,)`.
    """

    def __init__(self, whole: Sprites, rows: np.ndarray) -> None:
        self.whole = whole
        self.rows = rows

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, indices: slice | ArrayLike) -> np.ndarray:
        return self.whole[self.rows[_rows(indices, len(self))]]

    def factors(self, indices: slice | ArrayLike) -> np.ndarray:
        """The factors of images of this part, as `Sprites.factors`."""
        return self.whole.factors(self.rows[_rows(indices, len(self))])


def sprites() -> Sprites:
    """The data set of sprites, as a `Sprites`: 737,280 binary images of 64×64 with known factors.

    There is no file and no download. The images are drawn when they are asked for, and never all in
    memory: `sprites().batches(128)` feeds `fit`.
    """
    return Sprites()


def _rows(indices: slice | ArrayLike, size: int) -> np.ndarray:
    if isinstance(indices, slice):
        return np.arange(*indices.indices(size))
    rows = np.asarray(indices)
    if isinstance(indices, tuple) or (rows.dtype.kind not in "iu" and rows.size):
        raise ValueError("Images are indexed by an integer, a slice or an array of integers.")
    if rows.size and not (-size <= rows.min() and rows.max() < size):
        raise IndexError(f"There are {size} images: no index {rows.min()} to {rows.max()}.")
    return rows.astype("int64") % size


def _drawn(factors: np.ndarray) -> np.ndarray:
    shape, scale, orientation, x, y = np.moveaxis(factors, -1, 0)
    last = _POSITIONS - 1
    return _windows()[shape, scale, orientation, last - y, last - x][..., np.newaxis]


@cache
def _windows() -> np.ndarray:
    """A view `(shapes, scales, orientations, 32, 32, 64, 64)` of every window of every canvas."""
    bank = np.zeros((len(_SHAPES), len(_SCALES), _ORIENTATIONS, _CANVAS, _CANVAS), "float32")
    middle = slice(_CANVAS // 2 - _RADIUS, _CANVAS // 2 + _RADIUS + 1)
    for shape, (inside, period) in enumerate(zip(_INSIDE, _PERIODS, strict=True)):
        for scale, size in enumerate(_SCALES):
            for orientation in range(period):
                quarters, rest = divmod(orientation, _ORIENTATIONS // 4)
                sprite = _sprite(inside, _RADIUS * size, 2.0 * np.pi * rest / _ORIENTATIONS)
                turned = np.rot90(sprite, quarters)  # exact, where angles are rounded
                bank[shape, scale, orientation::period, middle, middle] = turned
    bank.setflags(write=False)
    return np.lib.stride_tricks.sliding_window_view(bank, (_PIXELS, _PIXELS), axis=(3, 4))


def _sprite(inside: Callable[..., np.ndarray], radius: float, angle: float) -> np.ndarray:
    """The pixels more than half of which are inside the shape, turned and enlarged."""
    side = 2 * _RADIUS + 1
    points = (np.arange(side * _SUBPIXELS) + 0.5) / _SUBPIXELS - side / 2.0
    x, y = points[np.newaxis, :] / radius, -points[:, np.newaxis] / radius
    cosine, sine = np.cos(angle), np.sin(angle)
    covered = inside(cosine * x + sine * y, cosine * y - sine * x)
    shares = covered.reshape(side, _SUBPIXELS, side, _SUBPIXELS).mean(axis=(1, 3))
    return shares > 0.5


# Whether points are inside a shape around its centre of mass, whose farthest point is 1 away.


def _in_square(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.maximum(np.abs(x), np.abs(y)) <= np.sqrt(0.5)


def _in_ellipse(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return x**2 + (2.0 * y) ** 2 <= 1.0


def _in_heart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """A square on its corner, with a half disc on each of the upper sides."""
    # For half discs of radius 1: the centre of mass above the square's middle.
    centre = np.pi / np.sqrt(2.0) * (1.0 + 4.0 / (3.0 * np.pi)) / (4.0 + np.pi)
    to_tip = np.sqrt(2.0) + centre
    x, y = np.abs(x) * to_tip, y * to_tip + centre
    in_disc = (x - np.sqrt(0.5)) ** 2 + (y - np.sqrt(0.5)) ** 2 <= 1.0
    return (x + np.abs(y) <= np.sqrt(2.0)) | in_disc


_INSIDE = (_in_square, _in_ellipse, _in_heart)
