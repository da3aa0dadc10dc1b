"""Batches on a device: the kernels there, and the host for the elements that they leave."""
