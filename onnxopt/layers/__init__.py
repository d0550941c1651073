"""Layers with constant weights: products read alike whatever their operator."""
