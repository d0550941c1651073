"""Tests of what shrinks together, and of cutting."""
