"""Tables of a decision: what it is worth, what it leaves undecided, and the label frequencies that it is shifted to."""

from typing import TYPE_CHECKING

from commandline.output import note, table

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from heads.evaluation.bootstrap import ConfidenceInterval
    from heads.evaluation.decisions import Decision
    from heads.evaluation.decisions.label_shift import LabelShift
    from heads.evaluation.label_set_metrics import LabelSetMetrics
    from heads.evaluation.metrics import Scorecard
    from stages.deciding.decide import DecisionValues

__all__ = ["show_decision"]

SHOWN_LABELS = 15


def _undecided_rows(cards: "Mapping[str, Scorecard]", labels: "Sequence[str]") -> list[list[str]]:
    """What a decision leaves undecided and what its label sets cover, a row per metric and a column per split."""
    columns = [
        {
            "documents decided": _format_interval(card.decided_share),
            "accuracy of these": _format_interval(card.selective_accuracy),
            **_set_cells(labels, card.label_sets),
        }
        for card in cards.values()
    ]
    return [[name, *(column[name] for column in columns)] for name in columns[0] if columns[0][name]]


def _set_cells(labels: "Sequence[str]", sets: "LabelSetMetrics | None") -> dict[str, str]:
    if sets is None:
        return {}
    label = "" if sets.worst_label is None else f", {labels[sets.worst_label]}"
    return {
        "sets with the true label": _format_interval(sets.coverage),
        "labels per set": _format_interval(sets.mean_size),
        "sets of one label": _format_interval(sets.single),
        "lowest coverage of a label": f"{_format_interval(sets.worst_label_coverage)}{label}",
    }


def _format_interval(interval: "ConfidenceInterval | None") -> str:
    return "" if interval is None else f"{interval.value:.3f} ({interval.low:.3f}–{interval.high:.3f})"


def show_decision(
    decision: "Decision", values: "DecisionValues", cards: "Mapping[str, Scorecard]", labels: "Sequence[str]"
) -> None:
    """Print what a decision is worth and why it was chosen."""
    columns = {"decision": decision.rule.name, "": values.metric}
    numbers = {"untuned": values.untuned, "apparent": values.apparent, "cross-fitted": values.cross_fitted}
    if values.test is not None:
        numbers["test"] = values.test
    columns |= {name: f"{value:.3f}" for name, value in numbers.items()}
    table(list(columns), [list(columns.values())], text_columns=2)
    if rows := _undecided_rows(cards, labels):
        table(["", *(split.replace("_", " ") for split in cards)], rows)
    if decision.label_shift is not None:
        _show_frequencies(labels, decision.label_shift)
    for sentence in (*decision.evidence.sentences, *decision.sentences):
        note(sentence)
    if (calibration := decision.calibration.evidence) is not None:
        note(calibration.sentence)


def _show_frequencies(labels: "Sequence[str]", shift: "LabelShift") -> None:
    """Print the labels whose frequency in new documents differs most from that of training."""
    rows = sorted(zip(labels, shift.training, shift.frequencies, strict=True), key=lambda row: -abs(row[2] - row[1]))
    shown = [[label, f"{100 * training:.1f} %", f"{100 * new:.1f} %"] for label, training, new in rows[:SHOWN_LABELS]]
    table(["label", "training", "new documents"], shown)
    if len(rows) > SHOWN_LABELS:
        note(f"{len(rows) - SHOWN_LABELS} more labels differ less; --json has all.")
