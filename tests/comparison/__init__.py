"""Tests of the comparison of two models."""
