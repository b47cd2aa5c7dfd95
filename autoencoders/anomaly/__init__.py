"""Anomaly detection: scikit-learn style detectors over any model of the zoo."""

from autoencoders.anomaly.detector import AnomalyDetector

__all__ = ["AnomalyDetector"]
