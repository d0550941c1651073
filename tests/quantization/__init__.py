"""Tests of quantized numbers, of the passes that place them, and of the command."""
