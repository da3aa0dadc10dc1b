"""moreau: conic; equality rows first, in a zero cone."""

from typing import Any

from kktdiff.bench import Contestant, Problem

PACKAGES = ("moreau", "torch")
CONFIGURATIONS: dict[str, dict[str, Any]] = {"default": {}, "interior point": {"solver": "ipm"}}


def build(problem: Problem, *, device: str = "cpu", **settings: Any) -> Contestant:
    """All matrices are dense, so every entry has its place."""
    import moreau
    import torch
    from moreau.torch import Solver

    from benchmarks.peers.tensors import contestant

    n, m, k = problem.sizes.values()
    solver = Solver(
        n,
        m + k,
        *_dense_pattern(torch, n, n),
        *_dense_pattern(torch, m + k, n),
        cones=moreau.Cones(num_zero_cones=k, num_nonneg_cones=m),
        settings=moreau.Settings(device=device, batch_size=problem.batch, **settings),
    )

    def solve(data: dict[str, Any]) -> Any:
        rows = torch.cat([data["A"], data["G"]], 1) if k else data["G"]
        sides = torch.cat([data["b"], data["h"]], 1) if k else data["h"]
        Q = data["Q"].flatten(1).contiguous()
        return solver.solve(Q, rows.flatten(1), data["p"], sides.contiguous()).x

    return contestant(problem, solve, device=device)


def _dense_pattern(torch: Any, rows: int, columns: int) -> tuple[Any, Any]:
    offsets = torch.arange(0, (rows + 1) * columns, columns)
    return offsets, torch.arange(columns).repeat(rows)
