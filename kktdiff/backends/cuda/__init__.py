"""What the CuPy backend is made of.

One iteration of the interior-point loop is a few kernels of our own, in `kernels/`, and a few
batched calls of cuBLAS and cuSOLVER. All that is asked of CuPy goes through `_cuda.Cuda`, so that
a stand-in over the host's memory can take its place where there is no GPU.
"""
