"""QPLayer, of proxsuite."""

from typing import Any

from kktdiff.bench import Contestant, Problem

PACKAGES = ("proxsuite", "torch")
CONFIGURATIONS: dict[str, dict[str, Any]] = {
    "default": {},
    "in parallel": {"omp_parallel": True},
    "in parallel, backward to 1e-9": {
        "omp_parallel": True,
        "eps_backward": 1e-9,
        "rho_backward": 1e-9,
        "mu_backward": 1e-9,
        "double": True,
    },
}


def build(problem: Problem, *, double: bool = False, **options: Any) -> Contestant:
    """Its gradients are allocated in torch's default dtype."""
    import torch
    from proxsuite.torch.qplayer import QPFunction

    from benchmarks.peers.tensors import contestant, lower_is_free

    if double:
        torch.set_default_dtype(torch.float64)
    layer = QPFunction(**options)
    low = torch.tensor(lower_is_free(problem)).expand(problem.batch, -1)
    none = torch.empty(0, dtype=torch.float64)

    def solve(data: dict[str, Any]) -> Any:
        A, b = (data.get(name, none) for name in "Ab")
        return layer(data["Q"], data["p"], A, b, data["G"], low, data["h"])[0]

    return contestant(problem, solve)
