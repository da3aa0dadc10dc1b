"""The progress bar on standard error: one for each epoch."""

from typing import Any

from kktdiff._progress import bar


class Progress:
    """Shows the steps of an epoch."""

    def __init__(self) -> None:
        self._bar: Any = None

    def step(self, epoch: int, number: int, steps: int, loss: float) -> None:
        """Count one step of training."""
        if self._bar is None:
            self._bar = bar(total=steps, initial=number - 1, desc=f"epoch {epoch}", unit="batch")
        self._bar.set_postfix(loss=f"{loss:.5f}", refresh=False)
        self._bar.update()
        if number == steps:
            self.close()

    def close(self) -> None:
        """End the bar of an epoch, whether it is full or not."""
        if self._bar is not None:
            self._bar.close()
            self._bar = None
