"""Tests of the difference between graphs."""
