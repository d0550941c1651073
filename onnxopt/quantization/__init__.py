"""Quantized numbers: types, granularity, parameters and calibrated ranges; no operator is named."""
