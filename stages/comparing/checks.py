"""Automatic checks of runs: what a user would want to know, and what to do next."""

from dataclasses import dataclass

__all__ = ["Check"]


@dataclass(frozen=True)
class Check:
    """What a check found in a run: one sentence, and what to do next."""

    run: str
    name: str
    sentence: str
    next_step: str
