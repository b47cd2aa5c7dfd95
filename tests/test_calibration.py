"""Conformal p-values, thresholds and the false-discovery rate, against their definitions."""

import numpy as np
import pytest
from scipy.stats import false_discovery_control

from autoencoders.anomaly import calibration

RNG = np.random.default_rng(0)


@pytest.mark.parametrize("rows", [0, 1, 5, 19, 20, 99, 100, 1234])
def test_threshold_and_p_values_agree(rows):
    own = np.sort(RNG.integers(0, 50, rows).astype("float64"))  # with many ties
    scores = np.arange(-1.0, 52.0)
    p = calibration.p_values(own, scores)
    by_hand = [(1 + sum(value <= score for value in own)) / (rows + 1) for score in scores]
    np.testing.assert_allclose(p, by_hand, rtol=1e-15)
    for rate in (0.01, 0.05, 0.1, 0.29, 0.5):
        flagged = scores < calibration.threshold(own, rate)
        np.testing.assert_array_equal(flagged, p <= rate * (1 + 1e-12), err_msg=str(rate))


@pytest.mark.parametrize(("rate", "rows"), [(0.05, 19), (0.01, 99), (0.5, 1), (0.1, 9), (0.03, 33)])
def test_rows_needed_is_the_fewest(rate, rows):
    assert calibration.rows_needed(rate) == rows
    lowest = -1e9
    for count, flags in ((rows - 1, False), (rows, True)):
        assert (lowest < calibration.threshold(np.zeros(count), rate)) == flags


def test_false_positives_and_discoveries_keep_their_rates():
    """On 2,000 seeded data sets of scores: the mean is within two standard errors, or below."""
    rates, proportions = {0.01: [], 0.05: []}, []
    for seed in range(2000):
        rng = np.random.default_rng(seed)
        own, normal = np.sort(rng.standard_t(2, 199)), rng.standard_t(2, 100)
        for rate, found in rates.items():
            found.append(np.mean(normal < calibration.threshold(own, rate)))
        batch = np.concatenate([normal, rng.standard_t(2, 30) - 20.0])
        alarms = calibration.discoveries(calibration.p_values(own, batch), 0.05)
        proportions.append(alarms[:100].sum() / max(alarms.sum(), 1))
    for stated, found in [*rates.items(), (0.05, proportions)]:
        error = np.std(found) / np.sqrt(len(found))
        assert np.mean(found) <= stated + 2 * error
        assert np.mean(found) >= 0.5 * stated  # it is no empty promise either


@pytest.mark.parametrize("rate", [0.05, 0.2])
def test_discoveries_are_those_of_benjamini_and_hochberg(rate):
    for _ in range(50):
        p = RNG.uniform(size=40) ** RNG.uniform(1, 6)
        expected = false_discovery_control(p) <= rate
        np.testing.assert_array_equal(calibration.discoveries(p, rate), expected)
    assert not calibration.discoveries(np.ones(5), rate).any()
