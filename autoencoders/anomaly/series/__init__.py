"""Anomalies in long series."""

from autoencoders.anomaly.series.detector import SeriesAnomalyDetector
from autoencoders.anomaly.series.score import PointScore
from autoencoders.anomaly.series.stream import Stream

__all__ = ["PointScore", "SeriesAnomalyDetector", "Stream"]
