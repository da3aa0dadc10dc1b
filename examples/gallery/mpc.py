# %% [markdown]
"""
# Model predictive control with a warm start

At each step a controller plans ahead within its limits, and applies the first move of the plan.
For anyone in control: you learn to run several controllers as one batch, with sparse matrices,
and to read from the multipliers what a stronger motor would be worth.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse

import kktdiff

# %% [markdown]
# A cart of 1 kg is brought to position 0 by 50 forces of at most 1 N. The variables are these, and
# the positions and velocities (at most 0.8 m/s) after each. A step depends on the one before
# alone: the matrices are sparse, and their entries grow with the steps, not with their square.

# %%
step, ahead, fastest = 0.2, 50, 0.8  # s, steps, m/s
A, B = np.array([[1, step], [0, 1]]), np.array([step**2 / 2, step])
here, before = sparse.eye_array(ahead), sparse.eye_array(ahead, k=-1)
after = sparse.kron(before, A) - sparse.kron(here, np.eye(2))
moves = sparse.hstack([sparse.kron(here, B[:, None]), after], "csr")  # B u + A x - next x = 0
Q = sparse.diags_array(2 * np.r_[np.full(ahead, 0.5), np.tile([3.0, 1.0], ahead)])
limits = np.r_[np.ones(ahead), np.tile([np.inf, fastest], ahead)]


def plan(state, last=None):
    """The best plans from states (6, 2), as a solution."""
    b = np.zeros((6, 2 * ahead))
    b[:, :2] = -state @ A.T
    return kktdiff.solve_qp(Q, A=moves, b=b, lb=-limits, ub=limits, warm_start=last)


# %% [markdown]
# Six carts drive for 7 seconds. A plan that starts from the last one mostly needs no iteration.


# %%
def drive(warm):
    """States (35, 6, 2), and the plans."""
    state = np.stack([np.linspace(-4, 3, 6), np.zeros(6)], -1)
    states, plans = [], [None]
    for _ in range(35):
        states.append(state)
        plans.append(plan(state, plans[-1] if warm else None))
        state = state @ A.T + plans[-1].x[:, :1] * B
    return np.array(states), plans[1:]


(states, plans), (_, cold) = drive(warm=True), drive(warm=False)
for name, solutions in (("from nothing", cold), ("from the last plan", plans)):
    iterations = np.array([sol.iterations for sol in solutions])
    share = (iterations == 0).mean()
    print(f"{name}: {iterations.mean():.1f} iterations a plan, none in {share:.0%} of the plans")

# %% [markdown]
# What would a stronger motor be worth? The derivative of a plan's cost in the limits on the
# force is the sum of their multipliers.

# %%
price = np.array([(sol.lam_lb + sol.lam_ub)[:, :ahead].sum(-1) for sol in plans])  # (35, 6)
print("cost saved per N of a stronger motor, at the start:", price[0].round(1) + 0.0)

# %%
figure, panels = plt.subplots(1, 3, figsize=(10, 3.4))
forces = np.array([sol.x[:, 0] for sol in plans])
names = ("position, m", "velocity, m/s", "force, N")
titles = ("All carts arrive", "within the limits on velocity (dotted)", "and on force (dotted)")
for axes, values, name, title in zip(panels, (*states.T, forces.T), names, titles, strict=True):
    axes.plot(step * np.arange(35), values.reshape(6, 35).T, lw=1)
    axes.set(title=title, xlabel="time, s", ylabel=name)
for axes, limit in ((panels[1], fastest), (panels[2], 1.0)):
    for side in (-limit, limit):
        axes.axhline(side, color="black", lw=1, ls=":")
plt.show()
