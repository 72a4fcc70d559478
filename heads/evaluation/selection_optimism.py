"""How much too high the score of the best of several predictions is, because it was chosen by this score.

Bootstrap bias-corrected cross-validation (BBC-CV; Tsamardinos, Greasidou & Borboudakis 2018, Bootstrapping the
out-of-sample predictions for efficient and accurate cross-validation, Machine Learning 107, algorithm 3).
"""

from dataclasses import dataclass

__all__ = ["SelectionOptimism"]


@dataclass(frozen=True)
class SelectionOptimism:
    """The value of the best of several predictions, as measured and corrected for having been chosen by it.

    candidates: how many predictions the best was chosen from.
    """

    raw: float
    corrected: float
    candidates: int
