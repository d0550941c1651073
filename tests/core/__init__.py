"""Tests of the engine: matching, rewriting, pipelines, the catalogue, reports."""
