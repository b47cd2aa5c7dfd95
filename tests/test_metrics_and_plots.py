"""Figures against independent arithmetic; pictures against what they must show."""

import numpy as np
import pandas
import pytest

import autoencoders
from autoencoders import metrics, plots


@pytest.fixture(scope="module")
def vae():
    return autoencoders.get("vae_mlp", weights="digits")


def test_pca_squared_error_is_the_variance_left_over(digits):
    x = digits[0].reshape(len(digits[0]), -1).astype("float64")
    eigenvalues = np.linalg.eigvalsh(np.cov(x.T, bias=True))[::-1]
    assert metrics.pca_squared_error(digits[0], digits[0], 10) == pytest.approx(
        eigenvalues[10:].sum(), rel=1e-4
    )


def test_squared_error_sums_over_pixels(vae, digits):
    x = digits[1]
    by_hand = np.square(x - vae.predict(x, verbose=0)).sum(axis=(1, 2, 3)).mean()
    assert metrics.squared_error(vae, x) == pytest.approx(by_hand, rel=1e-4)


def _images(figure):
    return [image.get_array() for axis in figure.axes for image in axis.images]


def test_reconstructions_show_input_over_output(vae, digits, tmp_path):
    x = digits[1][:4]
    figure = plots.reconstructions(vae, x, titles=[1, 2, 3, 4])
    images = _images(figure)
    assert len(images) == 8
    np.testing.assert_array_equal(images[1], x[1, ..., 0])
    np.testing.assert_allclose(images[5], vae.predict(x, verbose=0)[1, ..., 0], atol=1e-6)
    figure.savefig(tmp_path / "figure.png")
    assert (tmp_path / "figure.png").stat().st_size > 1000


def test_the_manifold_runs_through_the_normal_quantiles(vae):
    figure = plots.manifold(vae)
    (canvas,) = _images(figure)
    assert canvas.shape == (15 * 9, 15 * 9)
    # Top left: low z1, high z2, at the 5 % and 95 % quantiles.
    corner = vae.decode(np.array([[-1.6448536, 1.6448536]], "float32"))[0, ..., 0]
    np.testing.assert_allclose(canvas[:8, :8], corner, atol=1e-5)
    centre = vae.decode(np.zeros((1, 2), "float32"))[0, ..., 0]
    np.testing.assert_allclose(canvas[63:71, 63:71], centre, atol=1e-5)
    with pytest.raises(ValueError, match=r"2 latent dimensions.*\(16,\)"):
        plots.manifold(autoencoders.get("ae_mlp", weights="digits"))


def test_samples_are_those_of_the_model(vae):
    (canvas,) = _images(plots.samples(vae, columns=3, rows=2, seed=4))
    samples = vae.sample(6, seed=4)[..., 0]
    np.testing.assert_allclose(canvas[9:17, 9:17], samples[4], atol=1e-6)


def test_noisy_rows_are_shown_between_and_are_what_is_reconstructed(digits):
    model = autoencoders.get("denoising_mlp", weights="digits")
    x = digits[1][:3]
    noisy = np.clip(x + np.random.default_rng(0).normal(0, 0.3, x.shape), 0, 1).astype("float32")
    images = _images(plots.reconstructions(model, x, noisy=noisy))
    assert len(images) == 9
    np.testing.assert_allclose(images[4], noisy[1, ..., 0])
    np.testing.assert_allclose(
        images[7], np.clip(model.predict(noisy, verbose=0)[1, ..., 0], 0, 1), atol=1e-6
    )


def test_conditional_models_have_a_class_for_each_column(digits):
    model = autoencoders.get("cvae_mlp", input_shape=(8, 8, 1), hidden_units=(4,))
    x, y = digits[1][:4], np.array([3, 1, 0, 2])
    figure = plots.samples(model, labels=[7, 3, 5], rows=2, seed=1)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["7", "3", "5"]
    (canvas,) = _images(figure)
    drawn = model.sample(6, labels=[7, 3, 5, 7, 3, 5], seed=1)
    np.testing.assert_allclose(canvas[9:17, 9:17], drawn[4, ..., 0], atol=1e-6)

    rebuilt = _images(plots.reconstructions(model, (x, y)))[5]
    np.testing.assert_allclose(rebuilt, model.predict((x, y), verbose=0)[1, ..., 0], atol=1e-6)
    (axis,) = plots.latent(model, (x, y), y).axes
    assert len(axis.collections) == 4
    pairs = [*zip(x, y, strict=True)]
    (canvas,) = _images(plots.interpolation(model, pairs[:2], pairs[2:], steps=3))
    line = model.interpolate(pairs[1], pairs[3], steps=3)
    np.testing.assert_allclose(canvas[9:17, 9:17], line[1, ..., 0], atol=1e-6)


@pytest.fixture(scope="module")
def series():
    """A model of series of two features and any length, and padded rows for it."""
    model = autoencoders.get(
        "ae_gru", input_shape=(None, 2), mask_value=-9.0, units=(4,), latent_dim=2
    )
    x = np.random.default_rng(0).normal(size=(7, 12, 2)).astype("float32")
    x[0, 8:] = -9.0
    model.fit_prior(x, components=2)
    return model, x


def test_series_are_curves_of_input_and_reconstruction(series, tmp_path):
    model, x = series
    figure = plots.reconstructions(model, x, titles="abcdefg")
    drawn = [axis for axis in figure.axes if axis.get_visible()]
    assert [axis.get_title() for axis in drawn] == [*"abcdefg"]
    assert [text.get_text() for text in figure.legends[0].get_texts()] == [
        *("input", "reconstruction")
    ]
    assert [axis.get_xlabel() for axis in drawn] == ["", "", *(["step"] * 5)]
    curves = np.array([line.get_ydata() for line in drawn[3].lines])
    rebuilt = model.predict(x, verbose=0)[3]
    np.testing.assert_allclose(curves, np.concatenate([x[3].T, rebuilt.T]), atol=1e-6)
    for line in drawn[0].lines:  # the padding is left out
        np.testing.assert_array_equal(np.isnan(line.get_ydata()), np.arange(12) >= 8)
    figure.savefig(tmp_path / "figure.png")


def test_samples_and_interpolations_of_series_are_curves(series):
    model, x = series
    figure = plots.samples(model, columns=2, rows=2, steps=5, seed=3)
    curves = np.array([line.get_ydata() for line in figure.axes[3].lines])
    np.testing.assert_allclose(curves, model.sample(4, seed=3, steps=5)[3].T, atol=1e-6)
    assert not figure.legends
    figure = plots.interpolation(model, x[:1], x[1:2], steps=3)
    curves = np.array([line.get_ydata() for line in figure.axes[1].lines])
    np.testing.assert_allclose(curves, model.interpolate(x[0], x[1], 3)[1].T, atol=1e-6)


def test_series_of_pixel_lines_may_be_drawn_as_images(digits):
    model = autoencoders.get("ae_gru", weights="digits")
    x = digits[1][:3, ..., 0]
    images = _images(plots.reconstructions(model, x, as_images=True))
    np.testing.assert_array_equal(images[1], x[1])
    (canvas,) = _images(plots.interpolation(model, x[:1], x[1:2], steps=3, as_images=True))
    middle = np.clip(model.interpolate(x[0], x[1], 3)[1], 0, 1)
    np.testing.assert_allclose(canvas[:8, 9:17], middle, atol=1e-6)


def test_an_interpolation_is_the_models_line(vae, digits):
    starts, ends = digits[1][:2], digits[1][2:4]
    (canvas,) = _images(plots.interpolation(vae, starts, ends, steps=5))
    assert canvas.shape == (2 * 9, 5 * 9)
    line = vae.interpolate(starts[1], ends[1], steps=5)[..., 0]
    np.testing.assert_allclose(canvas[9:17, 18:26], line[2], atol=1e-6)


def test_a_perturbation_shifts_one_dimension_at_a_time(vae, digits):
    figure = plots.perturbation(vae, digits[1][0], shifts=(-1, 0, 2))
    (canvas,) = _images(figure)
    assert canvas.shape == (2 * 9, 3 * 9)
    code = vae.encode(digits[1][:1])
    shifted = vae.decode(code + np.array([0, 2], "float32"))[0, ..., 0]
    np.testing.assert_allclose(canvas[9:17, 18:26], shifted, atol=1e-6)
    assert [tick.get_text() for tick in figure.axes[0].get_xticklabels()] == ["-1", "0", "+2"]


def test_the_latent_scatter_has_a_colour_per_class(vae, digits):
    labels = np.arange(len(digits[1])) % 3
    (axis,) = plots.latent(vae, digits[1], labels).axes
    assert [len(points.get_offsets()) for points in axis.collections] == [120, 120, 120]
    codes = vae.encode(digits[1])
    np.testing.assert_allclose(axis.collections[1].get_offsets(), codes[labels == 1], atol=1e-6)


def test_wide_codes_are_projected_on_their_principal_components(digits):
    model = autoencoders.get("ae_mlp", weights="digits")
    (axis,) = plots.latent(model, digits[1]).axes
    points = np.asarray(axis.collections[0].get_offsets(), "float64")
    variances = np.linalg.eigvalsh(np.cov(model.encode(digits[1]).T))[::-1]
    np.testing.assert_allclose(np.cov(points.T), np.diag(variances[:2]), rtol=1e-3, atol=1e-3)


def test_error_histograms_count_every_row():
    normal, anomalous = np.geomspace(0.01, 0.1, 30), np.geomspace(0.05, 1.0, 20)
    (axis,) = plots.errors(normal, anomalous, threshold=0.09).axes
    heights = [sum(bar.get_height() for bar in bars) for bars in axis.containers]
    assert heights == [30, 20]
    assert axis.lines[0].get_xdata()[0] == 0.09


def test_errors_without_known_anomalies_and_with_zeros():
    (axis,) = plots.errors([0.0, 0.0, 0.5, 0.5]).axes
    assert sum(bar.get_height() for bar in axis.containers[0]) == 4
    with pytest.raises(ValueError, match="All errors are zero"):
        plots.errors([0.0])


def test_anomalies_are_shaded_under_series_and_scores(tmp_path):
    series = np.stack([np.sin(np.arange(50.0)), np.arange(50.0)], axis=1)
    scores = -np.arange(50.0)
    figure = plots.anomalies(series, scores, [(10, 12, -3.0), (40, 50, -9.0)], threshold=-38.5)
    above, below = figure.axes
    np.testing.assert_array_equal([line.get_ydata() for line in above.lines], series.T)
    np.testing.assert_array_equal(below.lines[0].get_ydata(), scores)
    assert below.lines[1].get_ydata()[0] == -38.5
    for axis in figure.axes:
        spans = [(patch.get_x(), patch.get_x() + patch.get_width()) for patch in axis.patches]
        assert spans == [(9.5, 11.5), (39.5, 49.5)]
    figure.savefig(tmp_path / "figure.png")
    assert len(plots.anomalies(series[:, 0], scores, threshold=-np.inf).axes[1].lines) == 1
    with pytest.raises(ValueError, match="one score per point"):
        plots.anomalies(series, scores[1:])


def test_labels_may_be_words(vae, digits):
    words = np.where(np.arange(len(digits[1])) % 2, "odd", "even")
    figure = plots.latent(vae, digits[1], words)
    assert [text.get_text() for text in figure.legends[0].get_texts()] == ["even", "odd"]


def test_pictures_of_images_need_images():
    model = autoencoders.get("vae_mlp", input_shape=(5,))
    for plot in (plots.manifold, plots.samples):
        with pytest.raises(ValueError, match=r"the rows of 'vae_mlp' have shape \(5,\)"):
            plot(model)
    with pytest.raises(ValueError, match="a picture of images"):
        plots.reconstructions(model, np.zeros((2, 5), "float32"))
    one = autoencoders.get("ae_mlp", input_shape=(5,), latent_dim=1)
    with pytest.raises(ValueError, match="codes of one"):
        plots.latent(one, np.zeros((2, 5), "float32"))


def test_notebooks_show_pictures_by_themselves(vae):
    assert plots.samples(vae)._repr_png_().startswith(b"\x89PNG")


def test_history_draws_every_term_once():
    logs = {"loss": [3, 2], "kl_loss": [1, 1], "reconstruction_loss": [2, 1], "val_loss": [4, 3]}
    figure = plots.history(logs)
    assert [axis.get_title() for axis in figure.axes] == ["loss", "kl_loss", "reconstruction_loss"]
    assert [len(axis.lines) for axis in figure.axes] == [2, 1, 1]
    assert len(plots.history({"loss": [1], "reconstruction_loss": [1], "mae": [2]}).axes) == 2
    with pytest.raises(ValueError, match="holds no epoch"):
        plots.history({})


def test_explanations_of_images_are_maps_and_of_tables_bars(digits):
    model = autoencoders.get("ae_mlp", weights="digits")
    detector = autoencoders.AnomalyDetector(model).calibrate(digits[1][:50])
    figure = plots.explanation(detector, digits[1][:3])
    drawn = figure.axes[3].images[0].get_array()  # the map below the first image
    np.testing.assert_allclose(drawn, -detector.explain(digits[1][:1])[0, ..., 0])

    x = pandas.DataFrame(np.random.default_rng(0).normal(size=(60, 20)).astype("float32"))
    x.columns = [f"sensor_{i}" for i in x.columns]
    table = autoencoders.AnomalyDetector("ae_mlp", epochs=1, random_state=0).fit(x)
    first, _ = plots.explanation(table, x[:2]).axes
    largest = np.abs(table.explain(x[:1])[0]).argsort()[::-1][:12]
    names = [label.get_text() for label in first.get_yticklabels()]
    assert names == [f"sensor_{i}" for i in largest[::-1]]
    widths = [bar.get_width() for bar in first.patches]
    np.testing.assert_allclose(widths, -table.explain(x[:1])[0][largest[::-1]])
    series = np.random.default_rng(0).normal(size=(60, 8, 2))
    params = {"units": (4,), "latent_dim": 2}
    detector = autoencoders.AnomalyDetector("ae_gru", model_params=params, epochs=1).fit(series)
    with pytest.raises(ValueError, match="images or tables"):
        plots.explanation(detector, series)
