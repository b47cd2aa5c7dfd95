"""How a number changes while a model trains: functions of the time since training began."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass

from autoencoders.checks import finite, positive, positive_integer_or_none


@dataclass(frozen=True)
class Schedule(ABC):
    """Base class of the schedules: from `start` to `end`, and `end` from then on.

    A subclass gives `share`. Called with a time, a schedule gives the value at that time; the time
    is a number of epochs or of steps, as whoever calls it counts.

    Args:
        start: The value at time 0.
        end: The value once the schedule is over.
        over: The time that it takes.
    """

    start: float
    end: float
    over: float

    def __post_init__(self) -> None:
        finite("start", self.start)
        finite("end", self.end)
        positive("over", self.over)

    def __call__(self, time: float) -> float:
        """The value at a time, 0 or later."""
        share = self.share(time / self.over)
        # Both ends are exact.
        return self.start * (1.0 - share) + self.end * share

    @abstractmethod
    def share(self, time: float) -> float:
        """How much of the way is done, from 0 to 1, at a time at which 1 is `over`."""


@dataclass(frozen=True)
class Linear(Schedule):
    """The same change in each epoch or step.

    The KL annealing of Sønderby et al., "Ladder variational autoencoders" (2016, arXiv:1602.02282).
    """

    def share(self, time: float) -> float:
        """As much of the way as of the time."""
        return min(time, 1.0)


@dataclass(frozen=True)
class Cosine(Schedule):
    """Half a wave of a cosine: slow at both ends."""

    def share(self, time: float) -> float:
        """(1 − cos πt) / 2."""
        return 1.0 if time >= 1.0 else 0.5 * (1.0 - math.cos(math.pi * time))


@dataclass(frozen=True)
class Sigmoid(Schedule):
    """A logistic curve, steepest in the middle.

    The KL annealing of Bowman et al., "Generating sentences from a continuous space" (2016,
    arXiv:1511.06349), stretched a little so that it begins and ends exactly at `start` and `end`.

    Args:
        start, end, over: As of `Schedule`.
        steepness: The logistic function is followed from −steepness/2 to steepness/2.
    """

    steepness: float = 10.0

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("steepness", self.steepness)

    def share(self, time: float) -> float:
        """σ(steepness · (t − ½)), stretched to reach 0 and 1."""
        # tanh is the logistic function stretched to ±1, and does not overflow.
        reach = math.tanh(0.25 * self.steepness)
        return 0.5 + 0.5 * math.tanh(0.5 * self.steepness * (min(time, 1.0) - 0.5)) / reach


@dataclass(frozen=True)
class Cyclical(Schedule):
    """Rises to `end`, stays there for the rest of the cycle, and begins anew at `start`.

    Fu et al., "Cyclical annealing schedule: a simple approach to mitigating KL vanishing" (2019,
    arXiv:1903.10145). The paper trains with four cycles, each of which rises for one half.

    Args:
        start, end: As of `Schedule`.
        over: The time that one cycle takes.
        rising: The share of a cycle in which the value rises, linearly.
        cycles: How many cycles there are, after which the value stays at `end`; None for no end.
    """

    rising: float = 0.5
    cycles: int | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        positive("rising", self.rising, at_most=1.0)
        positive_integer_or_none("cycles", self.cycles)

    def share(self, time: float) -> float:
        """min(t / rising, 1) within each cycle."""
        time = round(
            time, 9
        )  # Where a cycle begins, rounding is not to leave it in the one before.
        if self.cycles is not None and time >= self.cycles:
            return 1.0
        within = time % 1.0
        return 1.0 if within >= self.rising else within / self.rising
