"""cuPIQP, on a GPU only, by its torch layer; `benchmarks.gpu_check` measures it."""

from typing import Any

from kktdiff.bench import Contestant, Problem

PACKAGES = ("cupiqp", "torch")
CONFIGURATIONS: dict[str, dict[str, Any]] = {"default": {}}
NAMES = {"Q": "P", "p": "c", "G": "G", "h": "h_u", "A": "A", "b": "b"}  # ours, and its own


def build(problem: Problem, *, device: str = "cuda") -> Contestant:
    """Set up with the data of the first call."""
    from cupiqp.torch import DenseSolverLayer

    from benchmarks.peers.tensors import contestant

    layer = DenseSolverLayer(device=device)

    def solve(data: dict[str, Any]) -> Any:
        given = {NAMES[name]: tensor.contiguous() for name, tensor in data.items()}
        if not layer.is_setup:
            layer.setup(**{name: tensor.detach() for name, tensor in given.items()})
        return layer(**given)

    return contestant(problem, solve, device=device)
