# %% [markdown]
"""
# The whole lasso path in one call

The lasso fits a few measurements out of many, the fewer the higher its penalty. For anyone who
fits models with a penalty: you learn to solve for all penalties as one batch, and to choose the
penalty by the derivative of the held-out error.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np
from sklearn.datasets import load_diabetes

import kktdiff

# %% [markdown]
# Ten measurements of 442 patients, and how far their diabetes had gone a year later. A fifth of
# them is to learn from. `|M x - y|^2 / 2 + penalty |x|_1` becomes a QP by splitting `x` into a
# positive and a negative part.

# %%
data = load_diabetes()
features = data.data / data.data.std(0)
target = (data.target - data.target.mean()) / data.target.std()
held_out = np.arange(len(target)) % 5 > 0
M, y = features[~held_out], target[~held_out]
M_out, y_out = features[held_out], target[held_out]

split = np.hstack([np.eye(10), -np.eye(10)])  # x = split @ [positive part; negative part]
Q, ones = split.T @ M.T @ M @ split, np.ones(20)
penalties = np.geomspace(0.3, 200, 200)

path = kktdiff.solve_qp(Q, penalties[:, None] - split.T @ M.T @ y, lb=0)
x = path.x @ split.T  # (200, 10)
print(f"{path.solved.sum()} of {len(penalties)} solved")

# %% [markdown]
# The held-out error, and its derivative in the penalty: `p = penalty - ...`, so `dp = 1`.

# %%
error = ((x @ M_out.T - y_out) ** 2).mean(-1)
along = path.jvp(p=np.ones((200, 20))).x @ split.T  # dx / d penalty
slope = 2 * ((x @ M_out.T - y_out) * (along @ M_out.T)).mean(-1)

best = error.argmin()
kept = [name for name, value in zip(data.feature_names, x[best], strict=True) if abs(value) > 1e-6]
print(f"least error {error[best]:.3f} at penalty {penalties[best]:.1f}, with {', '.join(kept)}")
differences = np.gradient(error, penalties)
print(f"slope at penalty {penalties[100]:.1f}: {slope[100]:.5f}", end=", ")
print(f"by differences {differences[100]:.5f}")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6))
for number, name in enumerate(data.feature_names):
    left.plot(penalties, x[:, number], "-" if number < 5 else "--", label=name)
left.axvline(penalties[best], color="black", lw=1, ls=":")
left.set(title="A higher penalty keeps fewer measurements", xlabel="penalty", xscale="log")
left.set_ylabel("coefficient, standard deviations")
left.legend(ncols=2, fontsize="x-small")
right.plot(penalties, error, label="held-out error")
for i in (60, 100, 140, 170):  # tangents, straight on an axis that is not logarithmic
    near = penalties[i] * np.linspace(0.6, 1.5, 20)
    label = "its slope, by jvp" if i == 60 else None
    right.plot(near, error[i] + slope[i] * (near - penalties[i]), "C1", lw=2, label=label)
right.axvline(penalties[best], color="black", lw=1, ls=":", label="least error")
right.set(title="The derivative of the error leads to the best one", xlabel="penalty", xscale="log")
right.set_ylabel("mean squared error: lower is better")
right.legend(fontsize="small")
plt.show()
