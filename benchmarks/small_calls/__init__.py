"""Small problems, one call at a time: under JAX's `jit`, and in a control loop of 1 kHz.

python -m benchmarks.small_calls [--seconds 3] [--libraries kktdiff,daqp,...] [--out DIR]
"""
