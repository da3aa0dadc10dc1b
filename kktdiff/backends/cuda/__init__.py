"""Parts of the CuPy backend.

The kernels of `kktdiff.kernels` are compiled for the device, and launched. All that is asked of
CuPy goes through `_cuda.Cuda`, so that a stand-in over the host's memory can take its place where
there is no GPU.
"""
