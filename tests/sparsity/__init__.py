"""Tests of zeros in weights."""
