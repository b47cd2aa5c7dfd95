"""`Fitted`: all that fitting gives a detector, as one value."""

import datetime
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Self

import keras
import numpy as np
from sklearn.utils.validation import check_is_fitted

import autoencoders
from autoencoders.anomaly import calibration
from autoencoders.anomaly.scaling import Scaler
from autoencoders.anomaly.scores import LOWEST
from autoencoders.training.row_runner import RowRunner


@dataclass(frozen=True, kw_only=True, eq=False)
class Fitted:
    """All that fitting gives a detector; another one takes its place where it is fitted anew.

    Attributes:
        model: The trained model.
        scaler: The `Scaler` that brings rows to the model's units.
        score: What the detector judges by, with the statistics that it has learnt: a
            `scores.Score`, or a `PointScore` of series.
        runner: The `RowRunner` that runs the score's functions of the model.
        row_shape: Shape of a row; of a window, for series.
        features: Number of columns, or of channels, as scikit-learn counts them.
        feature_names: Their names in the data frame that was fitted on; None without.
        seed: The integer that the rows were divided and the model was made by.
        split: How many rows there were, and how many of them were held back from training.
        made_with: The detector's arguments, by name, that the model was made with.
        provenance: What it was made with, for people to read (see `provenance`).
        offset: The score below which a row is anomalous; −inf flags none.
        calibration_scores: Sorted scores of the calibration rows; None without.
    """

    model: Any
    scaler: Scaler
    score: Any
    runner: RowRunner
    row_shape: tuple[int, ...]
    features: int
    feature_names: np.ndarray | None
    seed: int
    split: tuple[int, int]
    made_with: Mapping[str, Any]
    provenance: Mapping[str, Any]
    offset: float = -math.inf
    calibration_scores: np.ndarray | None = None

    def calibrated(self, own: np.ndarray, fpr: float) -> Self:
        """The same, but deciding by the scores of normal rows.

        Args:
            own: Scores of the calibration rows, `(m,)`.
            fpr: The rate at which normal rows are to be flagged.

        Raises:
            ValueError: most of the scores are not finite.
        """
        if 2 * np.sum(own <= LOWEST) > len(own):
            raise ValueError(
                "The model gives no finite errors: its weights or its training have diverged. "
                "Scale the rows, or train it with a smaller learning rate."
            )
        own = np.sort(own)
        return replace(
            self,
            calibration_scores=own,
            offset=calibration.threshold(own, fpr),
            provenance={**self.provenance, "calibrated_on": len(own), "fpr": fpr},
        )

    # Saving ---------------------------------------------------------------------------------------

    def get_config(self) -> dict[str, Any]:
        """All but the arrays, as JSON has it."""
        names = None if self.feature_names is None else [*self.feature_names] or None
        return {
            "model": keras.saving.serialize_keras_object(self.model),
            "row_shape": list(self.row_shape),
            "features": self.features,
            "feature_names": names,
            "seed": self.seed,
            "split": list(self.split),
            "provenance": self.provenance,
            **self.score.get_config(),
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The arrays that belong to no network, by the names that they have in files."""
        arrays = {
            "center": self.scaler.center,
            "scale": self.scaler.scale,
            "offset": np.asarray(self.offset, "float64"),
        }
        if self.calibration_scores is not None:
            arrays["calibration_scores"] = self.calibration_scores
        for name, value in self.score.statistics.items():
            arrays[f"score_{name}"] = np.asarray(value)
        return arrays

    @classmethod
    def load(
        cls,
        config: Mapping[str, Any],
        arrays: Mapping[str, np.ndarray],
        score: Any,
        made_with: Mapping[str, Any],
    ) -> Self:
        """The inverse of `get_config` and `arrays`.

        Args:
            config: What `get_config` gave, with a model that has been made.
            arrays: What `arrays` gave.
            score: A score of that model, which gets its statistics here.
            made_with: As in `Fitted`.
        """
        score.statistics = {
            name.removeprefix("score_"): value
            for name, value in arrays.items()
            if name.startswith("score_")
        }
        model, names = config["model"], config["feature_names"]
        return cls(
            model=model,
            scaler=Scaler(arrays["center"], arrays["scale"], model.mask_value),
            score=score,
            runner=RowRunner(model),
            row_shape=tuple(config["row_shape"]),
            features=config["features"],
            feature_names=np.array(names, dtype=object) if names else None,
            seed=config["seed"],
            split=tuple(config["split"]),
            made_with=made_with,
            provenance=config["provenance"],
            offset=float(arrays["offset"]),
            calibration_scores=arrays.get("calibration_scores"),
        )


class FittedAttributes:
    """What detectors hold of fitting: one value, and attributes that read it.

    Before there is one, the attributes raise scikit-learn's NotFittedError, which is an
    AttributeError.
    """

    n_features_in_: int
    feature_names_in_: np.ndarray
    _fitted: Fitted | None = None

    @property
    def built(self) -> bool:
        """Whether it is fitted; Keras asks before it saves."""
        return self._fitted is not None

    def __sklearn_is_fitted__(self) -> bool:
        return self.built

    @property
    def fitted_(self) -> Fitted:
        """All that fitting gave, as one value."""
        check_is_fitted(self)
        fitted: Any = self._fitted
        return fitted

    @property
    def model_(self) -> Any:
        """The trained model."""
        return self.fitted_.model

    @property
    def offset_(self) -> float:
        """The score below which `predict` flags; it may be set."""
        return self.fitted_.offset

    @offset_.setter
    def offset_(self, value: float) -> None:
        self._fitted = replace(self.fitted_, offset=value)

    @property
    def calibration_scores_(self) -> np.ndarray | None:
        """Sorted scores of what the decision was calibrated with; None without."""
        return self.fitted_.calibration_scores

    @property
    def row_shape_(self) -> tuple[int, ...]:
        """Shape of a row, or of a window of series."""
        return self.fitted_.row_shape

    @property
    def provenance_(self) -> Mapping[str, Any]:
        """What the detector was made with."""
        return self.fitted_.provenance

    def take(self, fitted: Fitted) -> None:
        """Decide by this from now on: the one place where what was fitted is assigned.

        scikit-learn asks for the columns under names of its own.
        """
        self.n_features_in_ = fitted.features
        self.__dict__.pop("feature_names_in_", None)
        if fitted.feature_names is not None:
            self.feature_names_in_ = fitted.feature_names
        self._fitted = fitted


def provenance(steps: int, trained_on: int, seed: int) -> dict[str, Any]:
    """What a detector was made with: training steps in all, rows (or points) trained on, seed."""
    return {
        "autoencoders": autoencoders.__version__,
        "keras": keras.__version__,
        "trained_on": trained_on,
        "training_steps": steps,
        "seed": seed,
        "fitted": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }
