"""Zeros in weights: which to set, and what is left to make up for them; no operator is named."""
