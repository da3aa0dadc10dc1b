# %% [markdown]
"""
# Least squares with error bars

A measured spectrum is a mixture of known ones, in amounts that can't be negative. For anyone
who fits data: you learn to solve constrained least squares as a QP, and to get the error bars
of the fit from the derivative of its solution.
"""

# %%
import matplotlib.pyplot as plt
import numpy as np

import kktdiff

# %% [markdown]
# Five substances with known spectra, three of which are in the sample, and a measurement with
# noise. `|M x - y|^2 / 2` with `x >= 0` is the QP with `Q = M'M` and `p = -M'y`.

# %%
rng = np.random.default_rng(1)
wavelength = np.linspace(400, 700, 101)  # nm
centres, widths = np.array([450, 500, 530, 600, 640]), np.array([25, 30, 25, 35, 20])
M = np.exp(-(((wavelength[:, None] - centres) / widths) ** 2))  # (101, 5)
amounts, noise = np.array([1.0, 0.0, 0.6, 0.0, 0.8]), 0.1
y = M @ amounts + noise * rng.normal(size=101)

fit = kktdiff.solve_qp(M.T @ M, -M.T @ y, lb=0)
print("amounts:     ", fit.x.round(2) + 0.0)

# %% [markdown]
# The derivative of the amounts in the measurement, `dx/dy = dx/dp dp/dy`, carries the noise of
# the measurement over to the amounts. It is exactly zero where an amount is held at zero.

# %%
dx_dy = fit.jacobian(of="x", wrt="p") @ -M.T  # (5, 101)
error_bars = noise * np.sqrt((dx_dy**2).sum(1))
print("error bars:  ", error_bars.round(3))

# %% [markdown]
# Is that right? Measure 2000 times, and fit all measurements in one call.

# %%
repeats = M @ amounts + noise * rng.normal(size=(2000, 101))
many = kktdiff.solve_qp(M.T @ M, -repeats @ M, lb=0)
print("true spread: ", many.x.std(0).round(3))

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
left.plot(wavelength, y, ".", color="0.6", ms=3, label="measured")
left.plot(wavelength, M @ fit.x, label="fitted")
left.set(title="The mixture", xlabel="wavelength, nm", ylabel="absorption")
left.legend()
place = np.arange(5)
right.bar(place, amounts, color="0.85", width=0.8, label="true amount")
right.errorbar(place - 0.15, fit.x, error_bars, fmt="o", capsize=4, label="fit, error from dx/dy")
right.errorbar(
    place + 0.15, many.x.mean(0), many.x.std(0), fmt="s", capsize=4, label="2000 fits, their spread"
)
right.set(title="One derivative foresees the spread of 2000 fits", xlabel="substance")
right.set(ylabel="amount", xticks=place, xticklabels="ABCDE")
right.legend(fontsize="small")
plt.show()
