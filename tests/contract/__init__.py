"""Tests that run over every pass there is."""
