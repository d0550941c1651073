"""Tests of the execution targets."""
