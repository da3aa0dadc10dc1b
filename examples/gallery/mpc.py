# %% [markdown]
"""
# Model predictive control with a warm start

At each step a controller plans ahead within its limits, and applies the first move of the plan.
For anyone in control: you learn to run several controllers as one batch, to start each plan
from the last one, and to read from the multipliers what a stronger motor would be worth.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import kktdiff

# %% [markdown]
# A cart of 1 kg is brought to position 0. The plan is 20 forces, at most 1 N, and the velocity
# stays below 0.8 m/s. Positions and velocities are linear in the forces, so that the forces are
# the only variables.

# %%
step, ahead, fastest = 0.2, 20, 0.8  # s, steps, m/s
steps = np.arange(ahead)
since = steps[:, None] - steps  # steps from each force to the end of each step, but one
velocity = step * (since >= 0)  # what a force adds to the velocity after each step
position = step**2 * (since + 0.5) * (since >= 0)
Q = 2 * (3 * position.T @ position + velocity.T @ velocity + 0.5 * np.eye(ahead))


def plan(state, last=None):
    """The best forces from states (6, 2), as a solution."""
    x, v = state[:, :1], state[:, 1:]
    p = 2 * (3 * (x + v * step * (steps + 1)) @ position + (v + 0 * steps) @ velocity)
    h = np.repeat(np.concatenate([fastest - v, fastest + v], -1), ahead, -1)
    return kktdiff.solve_qp(Q, p, np.vstack([velocity, -velocity]), h, lb=-1, ub=1, warm_start=last)


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
        force = plans[-1].x[:, :1]
        state = state @ [[1, 0], [step, 1]] + force * [step**2 / 2, step]
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
price = np.array([(sol.lam_lb + sol.lam_ub).sum(-1) for sol in plans])  # (35, 6)
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
