# %% [markdown]
"""
# Tune a support vector machine by gradient descent

A support vector machine is a QP, and how well it does depends on two numbers that are usually
found by grid search. For anyone who tunes hyperparameters: you learn to follow the gradient of
the validation loss through the QP, in torch, and that a multiplier can be part of a model.
"""

# %%
import matplotlib.pyplot as plt
import torch
from sklearn.datasets import make_moons

from kktdiff.adapters.torch import solve_qp

torch.set_default_dtype(torch.float64)


def moons(count, seed):
    """Points (count, 2), and their classes, -1 or 1."""
    points, classes = make_moons(count, noise=0.3, random_state=seed)
    return torch.tensor(points), 2.0 * torch.tensor(classes) - 1


(x, y), (x_val, y_val) = moons(50, 0), moons(200, 1)

# %% [markdown]
# The dual of the machine: `minimise 1/2 a'Ka - sum(a)` with `0 <= a <= C` and `y'a = 0`, where
# `K` is the kernel times the classes. The offset of the decision is the multiplier of `y'a =
# 0`, which kktdiff differentiates like `a`.


# %%
def kernel(x1, x2, width):
    """(n1, n2), near 1 for points that are closer than the width."""
    return (-torch.cdist(x1, x2).square() / (2 * width**2)).exp()


def decide(points, log_c, log_width):
    """Positive where the machine sees class 1."""
    width = log_width.exp()
    K = kernel(x, x, width) * y[:, None] * y + 1e-8 * torch.eye(len(x))
    sol = solve_qp(K, -torch.ones(len(x)), A=y[None], b=[0.0], lb=0.0, ub=log_c.exp())
    return kernel(points, x, width) @ (sol.x * y) + sol.nu


# %% [markdown]
# Gradient descent on the validation loss, from values that are far off.

# %%
log_c, log_width = (torch.tensor(start, requires_grad=True) for start in (-2.0, 1.0))
optimiser, log = torch.optim.Adam([log_c, log_width], lr=0.15), []
for _ in range(41):
    decision = decide(x_val, log_c, log_width)
    loss = torch.nn.functional.softplus(-y_val * decision).mean()
    wrong = (y_val * decision < 0).double().mean()
    log.append((log_c.exp().item(), log_width.exp().item(), loss.item(), 100 * wrong.item()))
    optimiser.zero_grad()
    loss.backward()
    optimiser.step()
for step in (0, 20, 40):
    C, width, loss, wrong = log[step]
    print(f"step {step:2}: C {C:6.2f}, width {width:.2f}, loss {loss:.3f}, {wrong:.1f} % wrong")

# %%
figure, (before, after, losses) = plt.subplots(1, 3, figsize=(10, 3.4))
grid = torch.cartesian_prod(torch.linspace(-1.8, 2.8, 60), torch.linspace(-1.3, 1.8, 60))
for axes, step, title in ((before, 0, "Before: too stiff"), (after, -1, "After 40 steps")):
    C, width, _, _ = torch.tensor(log[step])
    values = decide(grid, C.log(), width.log()).detach()
    axes.tricontour(*grid.T, values, levels=[0.0], colors="black")
    for side, colour in ((-1, "C0"), (1, "C1")):
        axes.plot(*x[y == side].T, "o", ms=3, color=colour, label=f"class {side:+d}")
    axes.set(title=title, xlabel="first feature", ylabel="second feature")
    axes.legend(fontsize="x-small", loc="lower left")
losses.plot([row[2] for row in log])
losses.set(title="The loss falls", xlabel="step", ylabel="validation loss: lower is better")
losses.set_ylim(0)
plt.show()
