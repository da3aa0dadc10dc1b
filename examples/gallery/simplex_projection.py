# %% [markdown]
"""
# Sparse weights: the projection onto the simplex

A softmax never gives a weight of zero; the projection onto the simplex, also called sparsemax,
does. For anyone who learns weights or attention: you learn to use it in the place of a softmax,
in JAX.
"""

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt

from kktdiff.adapters.jax import solve_qp

jax.config.update("jax_enable_x64", True)

# %% [markdown]
# The weights closest to the scores, among those that are not negative and sum to one, are a QP
# with `Q = I`.


# %%
def sparsemax(scores):
    """Weights, of the shape of the scores."""
    n = scores.shape[-1]
    return solve_qp(jnp.eye(n), -scores, A=jnp.ones((1, n)), b=jnp.ones(1), lb=jnp.zeros(n)).x


scores = jnp.array([1.2, 0.8, -0.5])
print("softmax:  ", jax.nn.softmax(scores).round(2))
print("sparsemax:", sparsemax(scores).round(2) + 0.0)
print("derivative of its first weight:", jax.grad(lambda s: sparsemax(s)[0])(scores).round(2) + 0.0)

# %% [markdown]
# Twelve sensors, three of which measure what we want to know, with noise; the others measure
# nothing. Learn one weight for each sensor from 60 samples, by gradient descent.

# %%
keys = jax.random.split(jax.random.key(0), 3)
truth = jax.random.normal(keys[0], (60,))
seen = jnp.arange(12) < 3
sensors = truth[:, None] * seen + jax.random.normal(keys[1], (60, 12))


def learn(weights_of):
    """The weights that are learnt by descent on the scores."""

    def loss(scores):
        return jnp.mean((sensors @ weights_of(scores) - truth) ** 2)

    step = jax.jit(lambda scores: scores - 1.0 * jax.grad(loss)(scores))
    scores = jnp.zeros(12)
    for _ in range(100):
        scores = step(scores)
    return weights_of(scores)


learnt = {"softmax": learn(jax.nn.softmax), "sparsemax": learn(sparsemax)}
for name, weights in learnt.items():
    print(f"{name}: {(weights == 0).sum()} of 9 useless sensors have weight zero", end=", ")
    print(f"{weights[3:].sum():.0%} of the weight is theirs")

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.4))
first = jnp.linspace(-2, 3, 101)
rows = jnp.stack([first, jnp.full(101, 0.8), jnp.full(101, -0.5)], -1)
left.plot(first, jax.nn.softmax(rows)[:, 0], "--", label="softmax")
left.plot(first, sparsemax(rows)[:, 0], label="projection (sparsemax)")
left.set(title="The projection reaches 0 and 1", xlabel="score of the first of three")
left.set_ylabel("weight of the first")
left.legend()
for shift, (name, weights) in zip((-0.2, 0.2), learnt.items(), strict=True):
    right.bar(jnp.arange(12) + 1 + shift, weights, width=0.4, label=name)
right.set(title="Learnt: sensors without a signal get no weight", xlabel="sensor")
right.set(ylabel="weight", xticks=range(1, 13))
right.legend()
plt.show()
