"""Parts of the CuPy backend.

Factorizations are batched calls of cuBLAS and cuSOLVER. A gradient of a matrix is one kernel of our
own, in `kernels/`. All that is asked of CuPy goes through `_cuda.Cuda`, so that a stand-in over the
host's memory can take its place where there is no GPU.
"""
