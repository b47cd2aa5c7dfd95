"""Anomaly detection: scikit-learn style detectors over any model of the zoo."""

from autoencoders.anomaly.detector import AnomalyDetector
from autoencoders.anomaly.series import SeriesAnomalyDetector

__all__ = ["AnomalyDetector", "SeriesAnomalyDetector"]
