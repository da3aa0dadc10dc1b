"""The printed report of a run: its setup, a line per epoch, and its ending."""

from kktdiff.sudoku._boards import Split, repeated
from kktdiff.sudoku._train import LEARNT, Epoch, Trained

HEADING = "epoch  seconds  training loss  held-out loss  validation solved  held-out solved"


def setup(
    source: str, split: Split, *, epochs: int, batch: int, seed: int, backend: str | None
) -> str:
    """Return the lines before the training."""
    again = repeated(split.held_out, split.train)
    seen = f", {again} of them also among the training boards" if again else ""
    return (
        f"boards   {source}: {split.train.size} for training, {split.validation.size} for "
        f"validation, {split.held_out.size} held out{seen}\n"
        f"layer    minimise 1/2 0.1 x'x - puzzle'x  subject to  A x = b, x >= 0; "
        f"A (40, 64) and b are learnt\n"
        f"training Adam with rate 0.1, batch {batch}, seed {seed}, backend {backend or 'numpy'}\n"
        f"stop     when {percent(LEARNT)} of the validation boards are solved, after {epochs} "
        f"epochs, or with Ctrl-C, which keeps what was learnt\n"
    )


def line(epoch: Epoch) -> str:
    """One line of the table."""
    loss = f"{epoch.loss:13.5f}" if epoch.number else f"{'-':>13s}"
    return (
        f"{epoch.number:5d}  {epoch.seconds:7.1f}  {loss}  {epoch.held_out_loss:13.5f}  "
        f"{percent(epoch.validation):>17s}  {percent(epoch.held_out):>15s}"
    )


def ending(trained: Trained, steps: int) -> str:
    """Return the lines on why training stopped and which parameters were kept."""
    epochs, rest = divmod(trained.epochs[-1].steps, steps)
    done = f"{epochs} epoch{'s' * (epochs != 1)}"
    done += f" and {rest} of {steps} steps" if rest else ""
    begin = "learnt" if trained.learnt else "interrupted" if trained.interrupted else "not learnt"
    return (
        f"{begin} after {done}: kept are the parameters that solve "
        f"{percent(trained.best.validation)} of the validation boards"
    )


def solved(count: int, of: int) -> str:
    """The last line: ``held-out boards solved: 987 of 1000 (98.7 %)``."""
    return f"held-out boards solved: {count} of {of} ({percent(count / of)})"


def percent(share: float) -> str:
    """Format a percentage with one digit, rounded down, so that 100.0 % means all."""
    return f"{int(1000 * share + 1e-9) / 10:.1f} %"
