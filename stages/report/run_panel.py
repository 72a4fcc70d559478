"""One run as the template wants it: every figure worked out, every list in the order in which it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from heads.evaluation.metrics import LabelMetrics
from stages.report import confusion, curves
from stages.report.confusion import SPELLED_OUT, Cell, HeatMap, Tally
from stages.report.curves import Curve
from stages.report.rule_effect import Changes, changes
from stages.report.rule_families import Trials, trials
from stages.report.run_view import RunView

__all__ = ["Curves", "Panel", "side_by_side"]

MOST_PAIRS = 16
HALF = 600  # units across that half of a wide page offers
Row = TypeVar("Row")


@dataclass(frozen=True)
class Curves:
    """All curves of a run: all labels together, the worst by name, the others; and the point that was decided for."""

    micro: Curve | None
    worst: tuple[Curve, ...]
    others: tuple[Curve, ...]
    decided_precision: float
    decided_recall: float


@dataclass(frozen=True)
class Panel:
    """A run and its place on the page. Costly parts are worked out once, when the template asks for them."""

    view: RunView
    anchor: str

    @property
    def many(self) -> bool:
        """Whether there are too many labels to spell each out in the matrix."""
        return len(self.view.labels) > SPELLED_OUT

    @property
    def absent(self) -> int:
        """Labels without a test document."""
        return sum(not row.support for row in self.view.test.labels)

    @property
    def label_tables(self) -> list[Sequence[LabelMetrics]]:
        """Figures of each label, most frequent first, cut into tables that stand side by side."""
        return side_by_side(sorted(self.view.test.labels, key=lambda row: (-row.support, -row.predicted, row.label)))

    @cached_property
    def tallies(self) -> tuple[Tally, ...]:
        """With several labels: what was right, missed and added, most frequent label first."""
        return confusion.tallies(self.view.truth, self.view.predicted, self.view.labels)

    @property
    def tally_tables(self) -> list[Sequence[Tally]]:
        """The tallies, cut into tables that stand side by side."""
        return side_by_side(self.tallies)

    @property
    def most_documents(self) -> int:
        """The longest bar of the tallies."""
        return max((one.right + one.missed + one.added for one in self.tallies), default=0)

    @cached_property
    def heat_map(self) -> HeatMap:
        """The picture of the confusion matrix."""
        matrix = confusion.confusion(self.view.truth, self.view.predicted, len(self.view.labels))
        return confusion.heat_map(confusion.cells(matrix), self.view.labels)

    @property
    def wide_matrix(self) -> bool:
        """Whether the matrix takes the width of the page, with the worst pairs beside it."""
        return not self.view.multilabel and (self.many or self.heat_map.width > HALF)

    @property
    def few(self) -> bool:
        """Whether the figures of the labels, and what was taken for what, fit one below the other beside the curves."""
        return not self.many and not self.wide_matrix

    @property
    def confused(self) -> tuple[Cell, ...]:
        """The most frequent mistakes."""
        return confusion.most_confused(self.heat_map.cells, MOST_PAIRS)

    @property
    def changes(self) -> Changes:
        """What the decision rule changed."""
        return changes(self.view)

    @property
    def trials(self) -> Trials | None:
        """The decision rules that were tried."""
        return trials(self.view)

    @cached_property
    def curves(self) -> Curves:
        """Precision against recall."""
        view = self.view
        truth = curves.membership(view.truth, len(view.labels))
        given = curves.membership(view.predicted, len(view.labels))
        each = curves.label_curves(truth, view.probabilities, view.labels)
        worst = curves.worst(each)
        hits, named = int((truth & given).sum()), {one.label for one in worst}
        return Curves(
            micro=curves.curve("", truth.ravel(), view.probabilities.ravel()),
            worst=worst,
            others=tuple(one for one in each if one.label not in named),
            decided_precision=hits / max(1, int(given.sum())),
            decided_recall=hits / max(1, int(truth.sum())),
        )


def side_by_side(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """The rows in one table, or in two where they are many; the first one ends where the second begins."""
    length = len(rows) if len(rows) <= SPELLED_OUT else -(-len(rows) // 2)
    return [rows[at : at + length] for at in range(0, len(rows), max(1, length))]
