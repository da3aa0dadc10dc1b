# %% [markdown]
"""
# The efficient frontier, and what forecasts do to it

Every portfolio on the frontier is a QP with another price of risk. For anyone who builds
portfolios: you learn to write the problem in cvxpy, to solve for all prices of risk in one
call, and to see from the derivative which forecasts the weights depend on.
"""

# %%
import cvxpy as cp
import matplotlib.pyplot as plt
import numpy as np
import torch

from kktdiff.adapters.cvxpy import CvxpyLayer

torch.set_default_dtype(torch.float64)

# %% [markdown]
# Six classes of assets: expected returns and risks in % a year, and correlations. The numbers
# are made up.

# %%
names = ["bonds", "credit", "equity", "small caps", "property", "gold"]
returns = torch.tensor([2.0, 3.2, 6.0, 6.8, 4.6, 3.0])
risks = np.array([4.0, 6.0, 16.0, 20.0, 13.0, 15.0])
factor = np.array([[0.3, 0.6, 0.9, 0.9, 0.7, 0.1], [0.8, 0.5, -0.2, -0.2, 0.1, 0.4]])
correlations = factor.T @ factor
np.fill_diagonal(correlations, 1)
covariance = risks[:, None] * correlations * risks

# %% [markdown]
# The problem in cvxpy: weights that sum to one, none above 0.5, and a price of risk as a
# parameter. `CvxpyLayer` makes a function of torch of it, for any batch of parameters.

# %%
weights, mu, aversion = cp.Variable(6), cp.Parameter(6), cp.Parameter(nonneg=True)
root = np.linalg.cholesky(covariance).T
utility = mu @ weights - aversion * cp.sum_squares(root @ weights) / 2
problem = cp.Problem(cp.Maximize(utility), [cp.sum(weights) == 1, weights >= 0, weights <= 0.5])
layer = CvxpyLayer(problem, [mu, aversion], [weights])

aversions = torch.logspace(0.3, -2.5, 60)
(frontier,) = layer(returns, aversions)  # (60, 6)
risk = torch.einsum("bi,ij,bj->b", frontier, torch.tensor(covariance), frontier).sqrt()
for i in (0, 30, 59):
    held = ", ".join(f"{n} {w:.0%}" for n, w in zip(names, frontier[i], strict=True) if w > 5e-3)
    print(f"risk {risk[i]:4.1f} %, return {frontier[i] @ returns:.1f} %: {held}")

# %% [markdown]
# How does the portfolio at a risk of about 9 % change if a forecast rises? A derivative of the
# weights in the forecasts says it, without solving again.

# %%
chosen = int((risk - 9).abs().argmin())
change = torch.autograd.functional.jacobian(
    lambda forecast: layer(forecast, aversions[chosen])[0], returns
)
most = change.diagonal().argmax()
print(f"0.1 % more expected of {names[most]}: {100 * 0.1 * change[most, most]:+.1f} % held of it")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9.5, 3.6))
left.stackplot(risk, 100 * frontier.T, labels=names)
left.axvline(risk[chosen], color="black", lw=1, ls=":")
left.set(title="The more risk, the more equity", xlabel="risk of the portfolio, % a year")
left.set(ylabel="weight, %", ylim=(0, 100), xlim=(risk.min(), risk.max()))
left.legend(fontsize="x-small", loc="center left", bbox_to_anchor=(1, 0.5), reverse=True)
size = 10 * change.abs().max()
image = right.imshow(10 * change, cmap="PuOr", vmin=-size, vmax=size)
right.set(title="Weights follow some forecasts only", xticks=range(6), yticks=range(6))
right.set_xticklabels(names, rotation=35, ha="right")
right.set(yticklabels=names, xlabel="0.1 % more expected of", ylabel="weight of")
right.grid(False)
figure.colorbar(image, ax=right, label="change of the weight, %")
plt.show()
