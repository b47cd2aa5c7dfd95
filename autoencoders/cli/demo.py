"""`autoencoders demo`: the main job on the embedded digits, with pictures."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeAlias

import numpy as np
import typer
from rich.console import Console

import autoencoders
from autoencoders import files
from autoencoders.cli.quiet import import_keras

if TYPE_CHECKING:
    from matplotlib.figure import Figure

console: Console = Console()

_Rows: TypeAlias = tuple[np.ndarray, np.ndarray]  # with their labels


def demo(
    folder: Annotated[Path, typer.Option(help="Where the pictures go.")] = Path("demo"),
) -> None:
    """Load a pretrained model, reconstruct, generate, fine-tune, find anomalies: under a minute."""
    start = time.perf_counter()
    keras = import_keras()
    keras.utils.set_random_seed(0)
    folder.mkdir(parents=True, exist_ok=True)
    train, test = autoencoders.datasets.digits()

    _reconstruct_and_generate(train, test, folder)
    _fine_tune(train, test, folder)
    auroc = _find_anomalies(test, folder)

    console.print(
        f"\nDone in {time.perf_counter() - start:.0f} s. AUROC of the anomaly scores: "
        f"[bold]{auroc:.3f}[/bold].\nThe pictures are in [bold]{folder}/[/bold]. What next:\n"
        "  autoencoders list            every model\n"
        "  autoencoders info vae_mlp    its paper, recipe and figures\n"
        "  autoencoders train ae_mlp --data digits --save my.keras\n"
        "  python -c \"import autoencoders; autoencoders.load('my.keras').summary()\"",
        highlight=False,
    )


def _reconstruct_and_generate(train: _Rows, test: _Rows, folder: Path) -> None:
    _step("1. A pretrained variational autoencoder reconstructs and generates digits")
    model = autoencoders.get("vae_mlp", weights="digits")
    (x_train, _), (x, y) = train, test
    error = autoencoders.metrics.squared_error(model, x)
    pca = autoencoders.metrics.pca_squared_error(x_train, x, model.latent_shape[0])
    console.print(f"   squared error per test image: {error:.2f}; of PCA as small: {pca:.2f}")
    firsts = [np.flatnonzero(y == digit)[0] for digit in range(10)]
    _save(
        autoencoders.plots.reconstructions(model, x[firsts], titles=y[firsts]),
        folder / "reconstructions.png",
    )
    _save(autoencoders.plots.latent(model, x, y), folder / "latent.png")
    _save(autoencoders.plots.manifold(model), folder / "manifold.png")
    _save(autoencoders.plots.samples(model, seed=0), folder / "samples.png")


def _fine_tune(train: _Rows, test: _Rows, folder: Path) -> None:
    _step("2. A pretrained autoencoder is fine-tuned on new data: the negatives of the digits")
    (x_train, _), (x_test, _) = train, test
    model = autoencoders.get("ae_mlp", weights="digits")
    before = autoencoders.metrics.squared_error(model, 1.0 - x_test)
    history = model.fit(1.0 - x_train, epochs=10, batch_size=64, validation_data=1.0 - x_test)
    after = autoencoders.metrics.squared_error(model, 1.0 - x_test)
    console.print(f"   squared error per test image: {before:.2f} before, {after:.2f} after")
    _save(autoencoders.plots.history(history), folder / "fine_tuning.png")


def _find_anomalies(test: _Rows, folder: Path) -> float:
    from sklearn.metrics import roc_auc_score

    _step("3. Damaged digits are found by their reconstruction error")
    x, _ = test
    normal, clean, damaged = x[::3], x[1::3], _damage(x[2::3])
    model = autoencoders.get("denoising_mlp", weights="digits")
    detector = autoencoders.AnomalyDetector(model).calibrate(normal, fpr=0.05)
    scores = [detector.score_samples(rows) for rows in (clean, damaged)]
    auroc = roc_auc_score(np.repeat([1, 0], [len(s) for s in scores]), np.concatenate(scores))
    console.print(
        f"   calibrated on {len(normal)} digits at a false-positive rate of 5 %, it flags\n"
        f"   {_flagged(detector, clean)} of {len(clean)} other clean digits, and "
        f"{_flagged(detector, damaged)} of {len(damaged)} damaged ones: AUROC {auroc:.3f}"
    )
    errors = [-own for own in scores]
    _save(autoencoders.plots.errors(*errors, threshold=-detector.offset_), folder / "errors.png")
    _save(autoencoders.plots.explanation(detector, damaged[:10]), folder / "damaged.png")
    return float(auroc)


def _flagged(detector: autoencoders.AnomalyDetector, rows: np.ndarray) -> int:
    return int((detector.predict(rows) == -1).sum())


def _damage(x: np.ndarray, size: int = 3) -> np.ndarray:
    """Turn a random square of each image into its negative."""
    generator = np.random.default_rng(0)
    x = x.copy()
    for image in x:
        top, left = generator.integers(0, np.array(image.shape[:2]) - size, endpoint=True)
        patch = image[top : top + size, left : left + size]
        patch[...] = 1.0 - patch
    return x


def _step(title: str) -> None:
    console.print(f"\n[bold]{title}[/bold]")


def _save(figure: Figure, path: Path) -> None:
    with files.replacing(path) as new:
        figure.savefig(new, format="png", dpi=110)
    console.print(f"   wrote {path}", highlight=False)
