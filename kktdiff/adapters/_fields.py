"""Names and dimensions of the inputs and outputs that the adapters translate."""

import dataclasses

import kktdiff

INPUTS = tuple(field.name for field in dataclasses.fields(kktdiff.Grads))
FLOATS = tuple(field.name for field in dataclasses.fields(kktdiff.Tangents))
CORE = {"Q": 2, "p": 1, "G": 2, "h": 1, "A": 2, "b": 1, "lb": 1, "ub": 1}  # dimensions of one
