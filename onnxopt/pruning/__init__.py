"""Choosing whole channels to remove, and winning back what they did from samples."""
