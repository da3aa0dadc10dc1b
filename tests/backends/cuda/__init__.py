"""Tests of the CUDA path on a machine without a GPU: kernels and libraries over host memory."""
