# %% [markdown]
"""
# A safety filter for many robots

A filter changes a robot's command as little as keeps it out of obstacles: a small QP at each
step, with a control barrier function for each obstacle. For anyone in control: you learn to
filter a whole fleet in one call, and to read from the solution what the filter lets through.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import kktdiff

obstacles = np.array([[0.0, 0.3], [1.2, -0.7], [1.4, 1.1]])  # m
radii = np.array([0.6, 0.5, 0.4])
start = np.stack([np.full(12, -2.0), np.linspace(-1.5, 1.5, 12)], -1)
goal = np.stack([np.full(12, 3.0), np.linspace(1.6, -1.4, 12)], -1)
step, rate = 0.05, 3.0  # s; how fast a robot may approach an obstacle, 1/s

# %% [markdown]
# `h(x) = |x - centre|^2 - radius^2` is positive outside of an obstacle, and stays so if it never
# falls faster than `dh/dt >= -rate h`. That is linear in the velocity `u` that is commanded:
# `-2 (x - centre)'u <= rate h`. Each velocity component is at most 1 m/s.


# %%
def drive(filtered):
    """Paths of 12 robots, (150, 12, 2), and the solutions on the way, if the filter is on."""
    x, paths, solutions = start, [], []
    for _ in range(150):
        paths.append(x)
        u = np.clip(2 * (goal - x), -1, 1)  # heads for the goal and knows no obstacles
        if filtered:  # the closest command that is safe, for all robots at once
            away = x[:, None] - obstacles  # (12, 3, 2)
            h = (away**2).sum(-1) - radii**2
            solutions.append(kktdiff.solve_qp(np.eye(2), -u, -2 * away, rate * h, lb=-1, ub=1))
            u = solutions[-1].x
        x = x + step * u
    return np.array(paths), solutions


def clearance(paths):
    """Distance to the nearest obstacle, (150, 12); negative inside."""
    return (np.linalg.norm(paths[:, :, None] - obstacles, axis=-1) - radii).min(-1)


plain, (filtered, solutions) = drive(False)[0], drive(True)
for name, paths in (("without the filter", plain), ("with the filter", filtered)):
    hit, nearest = (clearance(paths) < -1e-3).any(0).sum(), clearance(paths).min()
    arrived = (np.linalg.norm(paths[-1] - goal, axis=-1) < 0.1).sum()
    print(f"{name}: {hit} of 12 robots hit an obstacle, nearest {nearest:+.3f} m, {arrived} arrive")

# %% [markdown]
# A multiplier names the obstacle that holds a robot back. The derivative of the safe command in
# the wanted one says what gets through: nothing towards the obstacle, and some across.

# %%
when, robot = np.argwhere([sol.lam.max(-1) > 1e-6 for sol in solutions])[0]  # it is held back
through = -solutions[when].jacobian(of="x", wrt="p")[robot]  # p = -u
toward = obstacles[solutions[when].lam[robot].argmax()] - filtered[when, robot]
toward = toward / np.linalg.norm(toward)
print(f"a change of the command towards the obstacle: {np.linalg.norm(through @ toward):.2f} of it")
print(f"and across: {np.linalg.norm(through @ toward[::-1] * [1, -1]):.2f} of it gets through")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4), width_ratios=(1.5, 1))
for centre, radius in zip(obstacles, radii, strict=True):
    left.add_patch(plt.Circle(centre, radius, color="0.85"))
for paths, style, label in ((plain, "C1--", "command as it is"), (filtered, "C0", "filtered")):
    left.plot(*paths.transpose(2, 0, 1)[:, ::5], style, lw=0.8)[0].set_label(label)
    right.plot(step * np.arange(150), clearance(paths).min(1), style)
left.plot(*goal.T, "k.", ms=4, label="goals")
left.set(title="The filter leads robots around obstacles", aspect="equal", ylim=(-1.8, 2.1))
left.set(xlabel="m", ylabel="m")
left.legend(fontsize="x-small", loc="upper center", ncols=3)
right.axhline(0, color="black", lw=1, ls=":")
right.set(title="and no one comes too close", xlabel="time, s", ylabel="distance of the nearest, m")
plt.show()
