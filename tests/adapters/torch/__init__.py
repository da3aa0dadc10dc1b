"""kktdiff.adapters.torch."""
