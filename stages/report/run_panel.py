"""One run as the template shows it: every value computed, every list in the order in which it is shown."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TypeVar

from heads.evaluation.calibration import ReliabilityDiagram
from heads.evaluation.coverage import coverage_curve
from heads.evaluation.metrics import LabelMetrics
from heads.evaluation.risk_coverage import RiskCoverageCurve
from stages.report import confusion
from stages.report.confidence import (
    known_probabilities,
    reliability_chart,
    risk_coverage,
    risk_coverage_chart,
)
from stages.report.confusion import MAX_NAMED_LABELS, MAX_SHOWN_LABELS, Cell, HeatMap, LabelCounts
from stages.report.decision_rule import RuleEffect, RuleFamilies, measure_rule_effect, rule_families
from stages.report.errors import ShownError, shown_errors
from stages.report.line_chart import LineChart
from stages.report.precision_recall import MAX_TOTAL_POINTS, PrecisionRecall, precision_recall
from stages.report.run_view import RunView
from stages.report.tree import Tree
from stages.taxonomy.mistakes import find_mistakes

__all__ = ["RunPanel", "split_rows"]

MAX_ERRORS = 16
HALF_WIDTH = 600  # SVG units that fit half of a wide page
Row = TypeVar("Row")


@dataclass(frozen=True)
class RunPanel:
    """A run and its anchor on the page. Values that are costly to compute are computed once, on first use.

    curve_points: about how many points all its precision-recall curves have at most.
    """

    view: RunView
    anchor: str
    curve_points: int = MAX_TOTAL_POINTS

    @property
    def has_many_labels(self) -> bool:
        """Whether there are too many labels to name each of them in the confusion matrix."""
        return len(self.view.labels) > MAX_NAMED_LABELS

    @property
    def labels_without_documents(self) -> int:
        """Number of labels without a scored document."""
        return sum(not row.support for row in self.view.scored.labels)

    @cached_property
    def metric_rows(self) -> list[LabelMetrics]:
        """The metrics of labels, the most frequent label first; of many, the most frequent and the worst others."""
        rows = sorted(self.view.scored.labels, key=lambda row: (-row.support, -row.predicted, row.label))
        if len(rows) <= MAX_SHOWN_LABELS:
            return rows
        half = MAX_SHOWN_LABELS // 2
        worst = sorted((row for row in rows[half:] if row.support), key=lambda row: row.f1)[: MAX_SHOWN_LABELS - half]
        shown = {row.label for row in (*rows[:half], *worst)}
        return [row for row in rows if row.label in shown]

    @property
    def metric_tables(self) -> list[Sequence[LabelMetrics]]:
        """`metric_rows` in one or two tables."""
        return split_rows(self.metric_rows)

    @property
    def selection(self) -> str:
        """Which labels the tables show, in one sentence; "" if they show all."""
        left_out = len(self.view.labels) - len(self.metric_rows)
        if not left_out:
            return ""
        half = MAX_SHOWN_LABELS // 2
        return (
            f"Shown are the {half} most frequent labels and, of the others, those with the lowest F1; {left_out:,} of "
            f"{len(self.view.labels):,} labels are left out. scorecard.json in the run's folder has all of them."
        )

    @property
    def has_heat_map(self) -> bool:
        """Whether there are few enough labels to draw the confusion matrix."""
        return len(self.view.labels) <= MAX_SHOWN_LABELS

    @cached_property
    def label_counts(self) -> tuple[LabelCounts, ...]:
        """Multi-label: the decisions about each label that is shown, the most frequent label first."""
        shown = {row.label for row in self.metric_rows}
        counts = confusion.count_per_label(self.view.truth, self.view.predicted, self.view.labels)
        return tuple(row for row in counts if row.label in shown)

    @property
    def count_tables(self) -> list[Sequence[LabelCounts]]:
        """The decisions about each label in one or two tables."""
        return split_rows(self.label_counts)

    @property
    def largest_total(self) -> int:
        """The number of documents of the longest bar."""
        return max((counts.total for counts in self.label_counts), default=0)

    @cached_property
    def confused(self) -> tuple[Cell, ...]:
        """The cells of the confusion matrix, also those of predicted nodes that are no labels."""
        return confusion.confusion_cells(self.view.truth, self.view.shown_codes, len(self.view.labels))

    @cached_property
    def heat_map(self) -> HeatMap:
        """The layout of the confusion matrix."""
        return confusion.heat_map(self.confused, self.view.labels, self.view.without_label)

    @property
    def has_wide_matrix(self) -> bool:
        """Whether the confusion matrix and a table of the most frequent errors take the full width of the page."""
        return not self.view.is_multilabel and (self.has_many_labels or self.heat_map.width > HALF_WIDTH)

    @property
    def is_narrow(self) -> bool:
        """Whether all sections fit half of the page: the tables in one column, the curves in the other."""
        return not self.has_many_labels and not self.has_wide_matrix

    @property
    def frequent_errors(self) -> tuple[Cell, ...]:
        """The most frequent errors."""
        return confusion.most_frequent_errors(self.confused, MAX_ERRORS)

    @property
    def rule_effect(self) -> RuleEffect:
        """What the decision rule changed."""
        return measure_rule_effect(self.view)

    @property
    def rule_families(self) -> RuleFamilies | None:
        """The rule families that were compared."""
        return rule_families(self.view)

    @cached_property
    def tree(self) -> Tree | None:
        """The mistakes at each node of the taxonomy; None without one."""
        view = self.view
        if view.hierarchy is None:
            return None
        coverage = coverage_curve(view.truth, view.predicted, view.probabilities, view.hierarchy)
        return Tree(find_mistakes(view.hierarchy, view.truth, view.predicted), coverage)

    @cached_property
    def reliability(self) -> ReliabilityDiagram:
        """Confidence and correctness."""
        return ReliabilityDiagram.of(self.view.truth, known_probabilities(self.view))

    @property
    def reliability_chart(self) -> LineChart:
        """The reliability diagram as a chart."""
        return reliability_chart(self.reliability)

    @property
    def calibration_sentence(self) -> str:
        """How the probabilities were calibrated, and what that changed; "" if it is not known."""
        evidence = self.view.evidence.get("calibration", {}).get("evidence") or {}
        return str(evidence.get("sentence", ""))

    @cached_property
    def risk_coverage(self) -> RiskCoverageCurve | None:
        """The accuracy of the most confident predictions."""
        return risk_coverage(self.view)

    @property
    def risk_coverage_chart(self) -> LineChart | None:
        """The error rate of the most confident predictions as a chart."""
        return None if self.risk_coverage is None else risk_coverage_chart(self.risk_coverage)

    @cached_property
    def errors(self) -> list[ShownError]:
        """The most confident wrong predictions."""
        return shown_errors(self.view)

    @cached_property
    def precision_recall(self) -> PrecisionRecall:
        """The precision-recall curves."""
        return precision_recall(self.view, self.curve_points)


def split_rows(rows: Sequence[Row]) -> list[Sequence[Row]]:
    """The rows in one table, or in two tables if there are many; the second continues the first."""
    length = len(rows) if len(rows) <= MAX_NAMED_LABELS else -(-len(rows) // 2)
    return [rows[start : start + length] for start in range(0, len(rows), max(1, length))]
