"""Elements without a solution: proofs, and the closest problem that has one."""
