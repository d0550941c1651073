"""Errors a person can act on: one line that says what, where and the next step."""

from __future__ import annotations

from typing import ClassVar


class OnnxoptError(Exception):
    """Anything that onnxopt reports to its user; the command line prints it in one line."""

    exit_status: ClassVar[int] = 1


class ModelError(OnnxoptError):
    """The model or the data is at fault: unreadable, invalid, hostile or beyond what is handled."""


class SampleError(ModelError):
    """Samples are at fault: there are none, or what they hold cannot be used."""


class UsageError(OnnxoptError):
    """The call is at fault: an unknown name or option, a value out of range."""

    exit_status: ClassVar[int] = 2


class BackendError(OnnxoptError):
    """An execution target is missing or cannot run the model; the message says how to get it."""


class VerificationError(OnnxoptError):
    """A rewrite changed what the model computes, and the caller asked to stop there."""
