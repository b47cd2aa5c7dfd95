"""Graphs of what a model computes, kept between calls."""

import operator

from autoencoders import arguments


class Graphs:
    """Graphs that are made once, and anew once the model has other weights.

    A graph reads the weights when it runs, so it outlives training.

    Args:
        model: The model whose weights the graphs read.
    """

    def __init__(self, model):
        self._model = model
        self._kept = {}
        self._weights = []
        self._changes = self._settings = None

    def __len__(self):
        return len(self._kept)

    def clear(self):
        """Forget all, when the model may compute something else from now on."""
        self._kept.clear()

    def follow(self):
        """Forget all if a switch of the model or of its parts was turned since; and say whether."""
        if self._changes == arguments.changes():
            return False
        self._changes = arguments.changes()
        before, self._settings = self._settings, arguments.settings(self._model)
        if self._settings == before:  # it was another model's
            return False
        self.clear()
        return True

    def refresh(self):
        """Forget all if the model has other weights or settings than the graphs know."""
        self.follow()
        weights = self._model.weights
        if len(weights) != len(self._weights) or any(map(operator.is_not, weights, self._weights)):
            self.clear()
            self._weights = weights

    def get(self, key, make):
        """The graph under this key; `make()` makes it."""
        if key not in self._kept:
            self._kept[key] = make()
        return self._kept[key]
