# %% [markdown]
"""
# What roads cost, learnt from the traffic on them

Traffic takes the ways that cost it least, and crowded roads cost more. For anyone with a network:
you learn to write flows as a QP with a sparse matrix, and to train a model of the costs on flows.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
import torch

import kktdiff
from kktdiff.adapters.torch import solve_qp

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)

# %% [markdown]
# A town of 23 x 23 crossings, with roads to the neighbours in both directions. Length, slope and
# surface of a road are known. What it costs drivers is not: steep and rough roads cost more.

# %%
size, place = 23, np.arange(23**2).reshape(23, 23)
pairs = [(place[:, :-1], place[:, 1:]), (place[:-1], place[1:])]
one, two = np.concatenate([np.stack([a.ravel(), b.ravel()]) for a, b in pairs], axis=1)
tail, head, roads = np.r_[one, two], np.r_[two, one], 2 * len(one)  # 2024
known = torch.rand(roads, 3)
true = (0.5 + known[:, 0]) * (1 + 4 * known[:, 1] ** 2 + 2 * known[:, 1] * known[:, 2])

# %% [markdown]
# What enters a crossing leaves it or ends there: a column of `A` has two entries. Goods go from
# four places to four others. A road takes 1 unit at most, and `Q` makes crowded ones cost more.

# %%
ends = kktdiff.Pattern((size**2, roads), rows=np.r_[tail, head], cols=np.r_[:roads, :roads])
A = kktdiff.Sparse(ends, torch.tensor([1.0, -1.0]).repeat_interleave(roads))
Q = torch.eye(roads).mul(0.5).to_sparse()


def flows(costs, demands):
    """The flow on each road, (..., 2024)."""
    return solve_qp(Q, costs, A=A, b=demands, lb=0.0, ub=1.0).x


demands = torch.zeros(16, size**2)
for day in demands:
    day[torch.randperm(size**2)[:8]] = torch.tensor([1.0, -1.0]).repeat(4)
(past, new), (seen, unseen) = demands.split(8), flows(true, demands).split(8)

# %% [markdown]
# No cost is ever shown to the model: the gradient of the errors in flows comes through the QP.

# %%
layers = torch.nn.Linear(3, 16), torch.nn.Tanh(), torch.nn.Linear(16, 1), torch.nn.Softplus()
model = torch.nn.Sequential(*layers)
optimiser, errors = torch.optim.Adam(model.parameters(), 0.03), []
for _ in range(61):
    with torch.no_grad():  # units on a wrong road, of all units on roads
        wrong = (flows(model(known)[:, 0], new) - unseen).abs().sum() / 2
        errors.append((wrong / unseen.sum()).item())
    optimiser.zero_grad()
    (flows(model(known)[:, 0], past) - seen).square().sum(-1).mean().backward()
    optimiser.step()
print(f"flow on wrong roads, new days: {errors[0]:.0%} before, {errors[-1]:.0%} after")

# %%
figure, (left, middle, right) = plt.subplots(1, 3, figsize=(11, 3.6))
left.plot(errors)
left.set(title="Flows of new days are foreseen", xlabel="step", ylabel="share on wrong roads")
middle.plot(true[::20], model(known)[:, 0].detach()[::20], ".")
middle.set(title="Costs that were never shown", xlabel="true cost", ylabel="learnt cost")
flow = flows(model(known)[:, 0].detach(), new[0])
for i in np.flatnonzero(flow > 0.05):
    (y, v), (x, u) = np.divmod([tail[i], head[i]], size)
    right.plot([x, u], [y, v], color="#0072b2", lw=4 * flow[i])
right.set(title="The traffic of a new day", xticks=[], yticks=[])
plt.show()
