"""Tests of verification: feeds, evaluation, numbers, the search for a wrong rewrite."""
