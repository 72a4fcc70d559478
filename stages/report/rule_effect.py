"""What the decision rule changed on the test split, against the plain decision on the same probabilities."""

from dataclasses import dataclass

import numpy as np

from stages.report.curves import ranked
from stages.report.run_view import RunView

__all__ = ["Changes", "changes"]


@dataclass(frozen=True)
class Changes:
    """How many of all `decisions` the rule made otherwise, and how many of these became right or wrong by it.

    A decision is a document, or with several labels a pair of document and label.
    """

    decisions: int
    changed: int
    mended: int
    broken: int

    @property
    def stayed_wrong(self) -> int:
        """Documents that were given one wrong label instead of another."""
        return self.changed - self.mended - self.broken


def changes(view: RunView) -> Changes:
    """Compare with the most probable label, or with several labels with every label of a probability above 0.5."""
    if view.multilabel:
        plain = np.nan_to_num(view.probabilities, nan=0.0) > 0.5
    else:
        plain = ranked(view.probabilities).argmax(axis=1)
    other = plain != view.predicted
    return Changes(
        decisions=int(other.size),
        changed=int(other.sum()),
        mended=int((other & (view.predicted == view.truth)).sum()),
        broken=int((other & (plain == view.truth)).sum()),
    )
