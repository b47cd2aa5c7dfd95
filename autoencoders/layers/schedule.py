"""Schedules of bottlenecks: what grows or falls with the number of training steps."""

from typing import Any

from keras import ops

from autoencoders.arguments import Declared
from autoencoders.layers.bottlenecks import Bottleneck, counting_dtype
from autoencoders.layers.encoding import Encoding
from autoencoders.types import Tensor


class ScheduledBottleneck(Declared, Bottleneck):
    """A bottleneck that counts its training steps where one of its schedules needs them.

    A subclass gives `schedule_steps`, and calls `build_schedule` when it is built.
    """

    steps: Any = None  # The weight that counts steps, where a schedule needs it.

    @property
    def schedule_steps(self) -> int:
        """How many steps the longest schedule takes; 0 where there is none to count for."""
        raise NotImplementedError

    @property
    def schedule_under_way(self) -> bool:
        """Whether a schedule has not come to its end."""
        if self.steps is None:
            return False
        return int(ops.copy(self.steps)) < self.schedule_steps

    def build_schedule(self) -> None:
        """Create the weight that counts, if a schedule needs it."""
        counted = {"trainable": False, "autocast": False, "aggregation": "only_first_replica"}
        kind = {"shape": (), "initializer": "zeros", "dtype": counting_dtype(self)}
        self.keep_weight("steps", self.schedule_steps > 0, **kind, **counted)

    def turned(self, name: str) -> None:
        """Begin to count where the first schedule is given, and stop where the last is taken."""
        if self.built:
            self.build_schedule()

    def advance(self, encoding: Encoding) -> None:
        """Count the step."""
        if self.steps is not None:
            self.steps.assign(self.steps + 1)

    def progress(self, steps: int, training: bool) -> Tensor | float:
        """How much of so many training steps is over, from 0 to 1; in evaluation all."""
        if not (steps and training):
            return 1.0
        return ops.cast(ops.minimum(self.steps / steps, 1.0), self.variable_dtype)
