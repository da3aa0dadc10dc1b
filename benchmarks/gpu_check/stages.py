"""The stages, in their order, and how much of the time is for each."""

from typing import NamedTuple

HERE = __package__
PEERS = ("qpth", "qpax", "moreau", "cupiqp")


class Stage(NamedTuple):
    """One process of the check."""

    name: str
    module: str
    share: float  # relative to those of the others; seconds, if all take what they may
    decides: bool = False  # the exit status
    argument: str = ""


STAGES = (
    Stage("environment", f"{HERE}.environment", 25),
    Stage("tests", f"{HERE}.suite", 140, decides=True),
    Stage("sanitizer", f"{HERE}.sanitizer", 75, decides=True),
    Stage("accuracy", f"{HERE}.accuracy", 45, decides=True),
    Stage("timings", f"{HERE}.timings", 100),
    Stage("primitives", f"{HERE}.primitives", 30),
    *(Stage(f"peer {name}", f"{HERE}.peers", 15, argument=name) for name in PEERS),
    Stage("processor", f"{HERE}.processor", 40),
)
