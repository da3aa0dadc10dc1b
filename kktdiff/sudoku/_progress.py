"""The progress bar on standard error: one for each epoch."""

import sys
from typing import Any

_SECONDS = 5  # between two updates in a log


class Progress:
    """Shows the steps of an epoch; in a log, where a bar can't be redrawn, only now and then."""

    def __init__(self) -> None:
        self._bar: Any = None

    def step(self, epoch: int, number: int, steps: int, loss: float) -> None:
        """Count one step of training."""
        from tqdm import tqdm  # here, because it is an extra

        if self._bar is None:
            terminal = sys.stderr.isatty()
            self._bar = tqdm(
                total=steps,
                initial=number - 1,
                desc=f"epoch {epoch}",
                unit="batch",
                leave=not terminal,
                mininterval=0.1 if terminal else _SECONDS,
                dynamic_ncols=terminal,
                ascii=None if terminal else True,
            )
        self._bar.set_postfix(loss=f"{loss:.5f}", refresh=False)
        self._bar.update()
        if number == steps:
            self.close()

    def close(self) -> None:
        """End the bar of an epoch, whether it is full or not."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
