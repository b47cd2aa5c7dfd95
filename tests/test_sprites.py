"""Sprites: the pictures against the geometry they claim; order, split, batches and resuming."""

import subprocess
import sys

import keras
import numpy as np
import pytest

import autoencoders
from autoencoders import datasets
from autoencoders.datasets.batches import Batches
from autoencoders.training.shuffle import Order

SPRITES = datasets.sprites()
SQUARE, ELLIPSE, HEART = range(3)
PERIODS = (10, 20, 40)


def _every_template(x=16, y=16):
    """Every shape, scale and orientation at one place, `(3, 6, 40, 64, 64)`."""
    templates = np.indices((3, 6, 40)).reshape(3, -1).T
    factors = np.concatenate([templates, np.full((720, 2), (x, y))], axis=1)
    return SPRITES.images(factors).reshape(3, 6, 40, 64, 64)


def _moments(images):
    """Areas, centres (x, y) and covariances of x and y (upwards), in pixels."""
    images = images.astype("float64")
    area = images.sum(axis=(-2, -1))
    pixels = np.arange(64.0)
    x = (images.sum(axis=-2) * pixels).sum(axis=-1) / area
    y = (images.sum(axis=-1) * pixels).sum(axis=-1) / area
    dx = pixels - x[..., np.newaxis]
    dy = y[..., np.newaxis] - pixels
    xx = np.einsum("...yx,...x,...x->...", images, dx, dx) / area
    yy = np.einsum("...yx,...y,...y->...", images, dy, dy) / area
    xy = np.einsum("...yx,...y,...x->...", images, dy, dx) / area
    return area, (x, y), (xx, yy, xy)


def test_it_is_indexed_as_an_array():
    assert len(SPRITES) == 3 * 6 * 40 * 32 * 32 == 737_280
    assert SPRITES.shape == (737_280, 64, 64, 1)
    assert SPRITES[:3].shape == (3, 64, 64, 1)
    assert SPRITES[5].shape == (64, 64, 1)
    assert SPRITES[[]].shape == (0, 64, 64, 1)
    assert SPRITES[:3].dtype == np.float32
    rows = np.array([0, 400_000, -1])
    np.testing.assert_array_equal(SPRITES[rows][2], SPRITES[737_279])
    np.testing.assert_array_equal(SPRITES[737_270::4], SPRITES[[737_270, 737_274, 737_278]])
    assert set(np.unique(SPRITES[::1009])) == {0.0, 1.0}
    images = SPRITES[:2]
    images[:] = 7.0  # a copy
    assert SPRITES[:2].max() == 1.0
    for indices in (0.5, (0, 1), np.ones(3, bool), "a"):
        with pytest.raises(ValueError, match="an integer, a slice or an array of integers"):
            SPRITES[indices]
    with pytest.raises(IndexError, match="There are 737280 images"):
        SPRITES[737_280]
    with pytest.raises(ValueError, match=r"737280 images would take 11\.2 GiB.*`batches"):
        np.asarray(SPRITES)


def test_the_last_factor_changes_fastest():
    assert SPRITES.factors([0, 1, 32, 1024]).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 0, 0, 1],
        [0, 0, 0, 1, 0],
        [0, 0, 1, 0, 0],
    ]
    assert SPRITES.factors(-1).tolist() == [2, 5, 39, 31, 31]
    rows = np.random.default_rng(0).integers(len(SPRITES), size=1000)
    factors = SPRITES.factors(rows)
    assert factors.dtype == np.int64
    np.testing.assert_array_equal(SPRITES.indices(factors), rows)
    np.testing.assert_array_equal(SPRITES.images(factors), SPRITES[rows])
    with pytest.raises(ValueError, match="'scale' must be 0 to 5, got 6"):
        SPRITES.images([[0, 6, 0, 0, 0]])
    with pytest.raises(ValueError, match=r"integers of shape \(n, 5\)"):
        SPRITES.indices([[0, 1]])
    with pytest.raises(ValueError, match="float64"):
        SPRITES.images(np.zeros((2, 5)))


def test_sizes_and_places_are_those_of_the_geometry():
    radii = 16 * np.linspace(0.5, 1.0, 6)
    # Of a square, an ellipse and a heart whose farthest point is at distance 1.
    disc = 1 / (np.sqrt(2) + np.pi / np.sqrt(2) * (1 + 4 / (3 * np.pi)) / (4 + np.pi))
    areas = np.array([2.0, np.pi / 2, (4 + np.pi) * disc**2])
    for x, y in ((0, 31), (16, 16), (25, 4)):
        area, centre, _ = _moments(_every_template(x, y))
        expected = areas[:, np.newaxis] * radii**2
        np.testing.assert_allclose(area.mean(axis=-1), expected, rtol=0.02)
        assert (np.abs(area / expected[..., np.newaxis] - 1.0) < 0.12).all()
        np.testing.assert_allclose(centre[0], 16 + x, atol=0.25)
        np.testing.assert_allclose(centre[1], 16 + y, atol=0.25)


def test_orientations_turn_counter_clockwise():
    _, _, (xx, yy, xy) = _moments(_every_template()[ELLIPSE])
    angles = np.degrees(0.5 * np.arctan2(2 * xy, xx - yy))
    turned = (angles - 9.0 * np.arange(40) + 90) % 180 - 90
    np.testing.assert_allclose(turned, 0.0, atol=3.0)
    heart = _every_template()[HEART, 5]
    around = heart[:, 16:49, 16:49]  # the pixels around the centre, (32, 32)
    for quarter in range(4):
        np.testing.assert_array_equal(around[10 * quarter], np.rot90(around[0], quarter))
    rows = around[0].sum(axis=1)
    filled = np.flatnonzero(rows)
    assert filled[-1] in (31, 32)  # the tip is at the bottom, 16 pixels from the centre in row 16
    assert rows[filled[-1]] < 3 < 12 < rows[filled[0]]
    np.testing.assert_array_equal(around[0], around[0][:, ::-1])


def test_no_sprite_is_cut_and_no_two_are_alike():
    whole = _every_template()
    for x in (0, 31):
        for y in (0, 31):
            np.testing.assert_array_equal(
                _every_template(x, y).sum(axis=(-2, -1)), whole.sum(axis=(-2, -1))
            )
    # Cut out, so that those at different places are compared, too: if two of these differ, so do
    # their images at any places; and one template's images differ as they are shifted.
    seen = {}
    for place in np.ndindex(3, 6, 40):
        image = whole[place]
        rows, columns = (np.flatnonzero(image.any(axis=axis)) for axis in (1, 0))
        cut = image[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        seen.setdefault((cut.shape, cut.tobytes()), []).append(place)
    expected = [
        [(shape, scale, k) for k in range(first, 40, PERIODS[shape])]
        for shape in range(3)
        for scale in range(6)
        for first in range(PERIODS[shape])
    ]
    assert sorted(seen.values()) == sorted(expected)


def test_samples_are_uniform_and_some_factors_fixed():
    factors = SPRITES.sample(40_000, 3)
    np.testing.assert_array_equal(factors, SPRITES.sample(40_000, np.random.default_rng(3)))
    for column, size in zip(factors.T, SPRITES.factor_sizes, strict=True):
        counts = np.bincount(column, minlength=size)
        expected = 40_000 / size
        # χ² with size − 1 degrees of freedom, below four standard deviations over its mean
        assert np.sum((counts - expected) ** 2 / expected) < size - 1 + 4 * np.sqrt(2 * size)
    hearts = SPRITES.sample(500, 3, shape=HEART, position_y=0)
    assert (hearts[:, [0, 4]] == [HEART, 0]).all()
    assert len(np.unique(hearts[:, 2])) == 40
    with pytest.raises(ValueError, match="no factor 'colour'"):
        SPRITES.sample(3, colour=1)
    with pytest.raises(ValueError, match="'shape' must be 0 to 2, got 3"):
        SPRITES.sample(3, shape=3)
    with pytest.raises(ValueError, match=r"'shape' must be an integer, got 1\.7"):
        SPRITES.sample(3, shape=1.7)
    with pytest.raises(ValueError, match="`n` must be an integer, 0 or more, got -1"):
        SPRITES.sample(-1)


def test_a_split_shares_no_picture():
    train, test = SPRITES.split(0.1, seed=1)
    assert len(train) + len(test) == len(SPRITES)
    assert len(test) == pytest.approx(73_728, abs=4)
    np.testing.assert_array_equal(
        np.sort(np.concatenate([train.rows, test.rows])), np.arange(len(SPRITES))
    )
    is_test = np.zeros(SPRITES.factor_sizes, bool)
    is_test.reshape(-1)[test.rows] = True
    for shape, period in enumerate(PERIODS):
        turned = np.roll(is_test[shape], period, axis=1)
        np.testing.assert_array_equal(turned, is_test[shape])
    np.testing.assert_allclose(is_test.mean(axis=(1, 2, 3, 4)), 0.1, atol=0.005)
    assert train.rows.nbytes + test.rows.nbytes < 2**22
    # The first of them are a sample, not a corner.
    assert len(np.unique(test.factors(slice(0, 2000)), axis=0)) == 2000
    np.testing.assert_allclose(test.factors(slice(0, 2000)).mean(axis=0)[3:], 15.5, atol=1.0)
    np.testing.assert_array_equal(test[[3, -1]], SPRITES[test.rows[[3, len(test) - 1]]])
    again = SPRITES.split(0.1, seed=1)
    np.testing.assert_array_equal(again[0].rows, train.rows)
    assert not np.array_equal(SPRITES.split(0.1, seed=2)[1].rows[:100], test.rows[:100])
    small = SPRITES.split(0.0005)[1]
    np.testing.assert_array_equal(np.asarray(small), small[:])
    for share in (0.0, 1.0, 1.5, -0.1):
        with pytest.raises(ValueError, match="share between 0 and 1"):
            SPRITES.split(share)
    with pytest.raises(ValueError, match="leaves the test part empty"):
        SPRITES.split(1e-7)
    with pytest.raises(ValueError, match="leaves the training part empty"):
        SPRITES.split(1 - 1e-7)
    with pytest.raises(ValueError, match="`seed` must be an integer, 0 or more"):
        SPRITES.split(seed=-1)


def test_batches_pass_over_all_images_in_an_order_for_each_epoch():
    _, data = SPRITES.split(0.0005, seed=0)
    numbers = {image.tobytes(): row for row, image in enumerate(data[:])}

    def epoch(batches, number):
        batches.begin_epoch(number)
        batches.on_epoch_begin()
        return [[numbers[image.tobytes()] for image in batch] for batch in batches]

    batches = data.batches(100, seed=3)
    assert len(batches) == 4
    first = epoch(batches, 0)
    assert [len(batch) for batch in first] == [100, 100, 100, len(data) - 300]
    rows = [numbers[image.tobytes()] for image in data[:]]  # pictures that are alike have one
    assert sorted(np.concatenate(first)) == sorted(rows)
    second = epoch(batches, 1)
    assert second != first
    assert sorted(np.concatenate(second)) == sorted(rows)
    assert epoch(data.batches(100, seed=3), 1) == second
    assert epoch(data.batches(100, seed=4), 1) != second
    # Shorter epochs go on where the one before ended.
    halves = data.batches(100, steps=2, seed=3)
    assert len(halves) == 2
    assert epoch(halves, 0) + epoch(halves, 1) == first
    assert epoch(halves, 3) == second[2:]
    even = data.batches(100, steps=2, shuffle=False)
    assert epoch(even, 0) == epoch(even, 7) == [rows[:100], rows[100:200]]
    for wrong in ({"batch_size": 0}, {"steps": 0}, {"seed": -1}):
        with pytest.raises(ValueError, match=f"`{next(iter(wrong))}` must be"):
            data.batches(**wrong)


def test_an_order_is_drawn_when_it_is_needed(monkeypatch):
    drawn = []
    epoch = Order.epoch
    monkeypatch.setattr(Order, "epoch", lambda self: drawn.append(1) or epoch(self))
    batches = SPRITES.batches(100, steps=2)
    batches.begin_epoch(5)
    batches.on_epoch_begin()
    assert not drawn
    batches[0], batches[1]
    assert len(drawn) == 1


def _model():
    keras.utils.set_random_seed(0)
    return autoencoders.get("vae_mlp", input_shape=(64, 64, 1), latent_dim=2, hidden_units=(4,))


def test_training_sees_the_order_of_each_epoch_of_the_models_life():
    _, data = SPRITES.split(0.0005)
    seen = []

    class Watched:
        def __len__(self):
            return len(data)

        def __getitem__(self, rows):
            seen.append(rows)
            return data[rows]

    model = _model()
    for epochs in ([0, 1], [2]):  # the second `fit` goes on where the first ended
        model.fit(Batches(Watched(), 200, seed=3), epochs=len(epochs), verbose=0)
        orders = [
            np.random.Generator(np.random.Philox(key=[3, epoch])).permutation(len(data))
            for epoch in epochs
        ]
        # Before, Keras has looked at some for their shape.
        np.testing.assert_array_equal(
            np.concatenate(seen[-2 * len(epochs) :]), np.concatenate(orders)
        )


def test_an_evaluation_sees_one_order():
    _, data = SPRITES.split(0.0005)
    model = _model()
    batches = data.batches(64, steps=2)  # of some of the images: others have another loss
    losses = [model.evaluate(batches, verbose=0, return_dict=True) for _ in range(2)]
    assert losses[0] == losses[1]
    history = model.fit(
        data.batches(64), epochs=2, verbose=0, validation_data=batches, validation_freq=2
    ).history
    after = model.evaluate(batches, verbose=0, return_dict=True)
    assert history["val_loss"] == [pytest.approx(after["loss"], rel=1e-6)]
    model.fit(batches, epochs=1, verbose=0, initial_epoch=0)  # in an order of training
    assert model.evaluate(batches, verbose=0) == model.evaluate(
        data.batches(64, steps=2), verbose=0
    )


def test_training_resumes_exactly(tmp_path):
    train, test = SPRITES.split(0.001)
    through = _model()
    history = through.fit(
        train.batches(32, steps=3),
        epochs=3,
        verbose=0,
        validation_data=test.batches(400, shuffle=False),
    ).history
    assert through.epochs_trained == 3
    assert through.trained
    model = _model()
    model.fit(train.batches(32, steps=3), epochs=1, verbose=0)
    model.save(tmp_path / "model.keras")
    loaded = autoencoders.load(tmp_path / "model.keras")
    rest = loaded.fit(train.batches(32, steps=3), initial_epoch=1, epochs=3, verbose=0).history
    assert rest["loss"] == history["loss"][1:]
    for a, b in zip(through.get_weights(), loaded.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    evaluation = test.batches(400, shuffle=False)
    losses = [through.evaluate(evaluation, verbose=0) for _ in range(2)]
    assert losses[0] == losses[1]
    assert history["val_loss"][-1] == pytest.approx(
        through.evaluate(evaluation, verbose=0, return_dict=True)["loss"], rel=1e-6
    )
    assert len(through.encode(test)) == len(test)
    with pytest.raises(ValueError, match="have their own `steps`"):
        model.fit(train.batches(32), steps_per_epoch=2, verbose=0)


def test_it_is_no_data_set_of_arrays():
    with pytest.raises(ValueError, match=r"`autoencoders\.datasets\.sprites\(\)`"):
        datasets.load("sprites")


def test_it_needs_neither_keras_nor_tensorflow():
    code = (
        "import sys; from autoencoders import datasets; datasets.sprites().split()[0][:2];"
        "print([m for m in ('keras', 'tensorflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
