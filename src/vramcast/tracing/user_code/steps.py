"""Which phase of which step a user's loop is in, read from what it calls."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from vramcast.program.probe import Probe


class Steps:
    """Tells a probe the phases. A step ends with the first call of a module after an optimizer has stepped."""

    def __init__(self, probe: Probe) -> None:
        self._probe = probe
        self._phase = "load"
        self.step = 0
        """The step the loop is in, from 0."""
        self._has_trained = False
        self._is_over = False
        """An optimizer has stepped since the step began."""

    def forward(self, is_training: bool) -> None:
        """A module is called from outside of any other. Without gradients, after training has begun, that is a validation."""
        if not is_training and self._has_trained:
            self._begin("validation")
            return
        if self._is_over:
            self.step, self._is_over = self.step + 1, False
        self._begin("forward")

    def backward(self) -> bool:
        """A loss is scaled or differentiated. Returns whether backward only begins here."""
        self._has_trained = True
        return self._begin("backward")

    def optimizer(self) -> None:
        """Gradients are unscaled, or an optimizer steps."""
        self._begin("optimizer")

    def stepped(self) -> None:
        """An optimizer has stepped; what comes until the next call of a module is between two steps."""
        self._is_over = True
        self._begin("staging")

    @contextlib.contextmanager
    def zero_grad(self) -> Iterator[None]:
        """Gradients are cleared, at the start of a step or between forward and backward."""
        before = self._phase
        self._begin("zero_grad")
        yield
        self._begin(before if before == "forward" else "staging")

    def _begin(self, phase: str) -> bool:
        if phase == self._phase:
            return False
        self._phase = phase
        self._probe.phase(phase, self.step)
        return True
