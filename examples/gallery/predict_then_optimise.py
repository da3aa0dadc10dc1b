# %% [markdown]
"""
# Forecast prices for the decisions they lead to

A battery is charged when power is cheap and sold when it is dear, by a forecast that can't be
right everywhere. For anyone whose model feeds an optimiser: you learn to train the model on
what its decisions lose, the regret, instead of on its error.
"""

# %%
import matplotlib.pyplot as plt
import torch
from torch.nn.functional import mse_loss

from kktdiff.adapters.torch import solve_qp

torch.set_default_dtype(torch.float64)
torch.manual_seed(0)

# %% [markdown]
# The prices of 24 hours depend on a day's weather, three numbers, and have peaks. The model is
# linear in the weather, so that it foresees the peaks badly.

# %%
shapes = torch.sin(2 * torch.pi * (torch.arange(24) - torch.tensor([[1], [8], [16]])) / 24)
weather = torch.randn(400, 3)
load = weather @ shapes
prices = 0.1 + 0.04 * (load**3 / 3 - load) + 0.01 * torch.randn(400, 24)  # euros per kWh
(weather, new_weather), (prices, new_prices) = weather.split(200), prices.split(200)

# %% [markdown]
# The battery takes and gives at most 1 kW, holds 4 kWh and ends empty; wear costs 0.02 euros times
# the square of the power. The QP of a day chooses the power of each hour, positive to charge.

# %%
sums = torch.ones(23, 24).tril()  # the level after each hour but the last
G, h = torch.cat([sums, -sums]), torch.cat([4 * torch.ones(23), torch.zeros(23)])


def cost(forecast, prices):
    """What days cost on average, with wear, if they are scheduled by the forecast; in euros."""
    power = solve_qp(0.04 * torch.eye(24), forecast, G, h, A=torch.ones(1, 24), b=0, lb=-1, ub=1).x
    return ((power * prices).sum(-1) + 0.02 * power.square().sum(-1)).mean()


# %% [markdown]
# Two models of the same form learn from the same days: one to be near the prices, the other to
# spend little. The regret is what it spends beyond the schedule that knows the prices.


# %%
def train(loss):
    """The forecasts of the new prices after each epoch."""
    model, forecasts = torch.nn.Linear(3, 24), []
    torch.nn.init.zeros_(model.weight)
    torch.nn.init.constant_(model.bias, 0.1)
    optimiser = torch.optim.Adam(model.parameters(), 0.01)
    for _ in range(13):
        forecasts.append(model(new_weather).detach())
        for rows in torch.randperm(200).split(40):
            optimiser.zero_grad()
            loss(model(weather[rows]), prices[rows]).backward()
            optimiser.step()
    return forecasts


figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
for name, loss in {"fitted to prices": mse_loss, "trained on regret": cost}.items():
    forecasts = train(loss)
    regrets = [cost(one, new_prices) - cost(new_prices, new_prices) for one in forecasts]
    errors = [mse_loss(one, new_prices) for one in forecasts]
    print(f"{name}: regret {regrets[-1]:.2f} euros a day, error of prices {errors[-1]:.4f}")
    left.plot(regrets, label=name)
    right.plot(errors, label=name)
left.set(title="Trained on regret, decisions lose less", ylabel="regret on new days, euros a day")
right.set(title="though the forecasts are worse", ylabel="mean squared error of new prices")
plt.setp((left, right), xlabel="epoch", ylim=(0, None))
left.legend()
plt.show()
