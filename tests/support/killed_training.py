"""A training that is killed."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from mispel import passes


def killed_in(monkeypatch: pytest.MonkeyPatch, epoch: int, train: Callable[[], object]) -> None:
    """Train until an epoch begins, in which the training is killed."""
    real = passes._run_epoch

    def killed(step, number, **more):
        if number == epoch:
            raise KeyboardInterrupt
        return real(step, number, **more)

    with monkeypatch.context() as context:
        context.setattr(passes, "_run_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train()
