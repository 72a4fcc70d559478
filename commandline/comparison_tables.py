"""A comparison of runs in the terminal, for every command that makes runs."""

from collections.abc import Callable
from textwrap import wrap
from typing import TYPE_CHECKING

from commandline.output import note, say, show, show_json, table
from data.text_format import format_duration, join_words

if TYPE_CHECKING:
    from heads.evaluation.metrics import ConfidenceInterval
    from stages.comparing.checks import Check
    from stages.comparing.table import Comparison

HEADING_WIDTH = 13  # of a line of a heading, about as wide as an interval
MARK_WIDTH = 28  # of a line below the name of a run, so that its metrics fit into 80 columns


def show_comparison(comparison: "Comparison", *, as_json: bool) -> None:
    """Print two tables, of metrics and of costs, or the same as JSON."""
    if as_json:
        show_json(comparison.to_json())
        return
    _show_metrics(comparison)
    if any(row.validated for row in comparison.rows):
        _show_hierarchical_metrics(comparison)
    _show_costs(comparison)
    show_sentences(comparison)


def show_sentences(comparison: "Comparison") -> None:
    """Print the notes and what checks found: of runs with the same fault, the numbers of the first one alone."""
    for sentence in comparison.notes:
        note(sentence)
    if comparison.checks:
        say("Checks:")
    by_finding: dict[str, list[Check]] = {}
    for check in comparison.checks:
        by_finding.setdefault(check.finding, []).append(check)
    for check, *others in by_finding.values():
        note(f"{f'{check.run}: ' if check.run else ''}{check.sentence} {check.next_step}")
        if others:
            names = join_words([other.run for other in others])
            note(f"{names}: The same; `embedonce compare --json` has the numbers.")


def show_choice(comparison: "Comparison", output: Callable[[str], None] = show) -> None:
    """Print which run to take, the last line of a command; nothing if there is nothing to choose from."""
    if comparison.choice is not None:
        output(comparison.choice.sentence)


def _show_metrics(comparison: "Comparison") -> None:
    rows, ranking = comparison.rows, "\n".join(wrap(comparison.ranking_metric, HEADING_WIDTH))
    metrics: dict[str, list[ConfidenceInterval | None]] = {
        f"{ranking}\nout of fold": [row.out_of_fold for row in rows],
        "better than\nthe first by": [row.difference for row in rows],
        f"{ranking}\nvalidation": [row.validation for row in rows],
        "macro-F1\ntest": [row.macro_f1 for row in rows],
        "micro-F1\ntest": [row.micro_f1 for row in rows],
        "accuracy\ntest": [row.accuracy for row in rows],
        "mean absolute\nerror\ntest": [row.absolute_error for row in rows],
        "quadratic\nkappa\ntest": [row.quadratic_kappa for row in rows],
    }
    if metrics["micro-F1\ntest"] == metrics["accuracy\ntest"]:  # as it is if each document has one label
        del metrics["micro-F1\ntest"]
    metrics = {name: values for name, values in metrics.items() if any(value is not None for value in values)}
    marks = [[line for mark in row.marks for line in wrap(f"({mark})", MARK_WIDTH)] for row in rows]
    names = ["\n".join((row.run, *lines)) for row, lines in zip(rows, marks, strict=True)]
    columns = {"run": names} | {name: list(map(_format_interval, values)) for name, values in metrics.items()}
    if "better than\nthe first by" in columns:
        columns["adjusted\np-value"] = [_format_p_value(row.adjusted_p_value) for row in rows]
    optional = {"better than\nthe first by", "micro-F1\ntest", "quadratic\nkappa\ntest", "adjusted\np-value"}
    optional |= {"accuracy\ntest"} if "quadratic\nkappa\ntest" in columns else set()
    table(list(columns), zip(*columns.values(), strict=True), optional=optional)


def _show_hierarchical_metrics(comparison: "Comparison") -> None:
    """Print hF1, the accuracy of labels and of each level, and the tree distance: of the test split, if it was scored.

    Runs whose labels have no taxonomy have only the accuracy of labels.
    """
    names, scores, columns = list[str](), list[list[str]](), dict[str, list[str]]()
    scored = [row.tested or row.validated for row in comparison.rows]
    levels = max(len(metrics.level_accuracy) for metrics in scored if metrics)
    for row, metrics in zip(comparison.rows, scored, strict=True):
        names.append(row.run if row.tested or not metrics else f"{row.run}\n(not on the test split)")
        accuracy = metrics.accuracy if metrics else row.accuracy
        scores.append([_format_interval(metrics.hf1 if metrics else None), _format_interval(accuracy)])
        values = metrics.level_accuracy if metrics else ()
        for level in range(levels):
            cell = f"{values[level].value:.3f}" if level < len(values) else "–"
            columns.setdefault(f"level {level + 1}", []).append(cell)
        distance = metrics and metrics.tree_distance
        columns.setdefault("tree\ndistance", []).append(f"{distance.value:.3f}" if distance else "–")
    columns = {name: cells for name, cells in columns.items() if set(cells) != {"–"}}
    rows = zip(names, *zip(*scores, strict=True), *columns.values(), strict=True)
    table(["run", "hF1", "accuracy\nof labels", *columns], rows, optional=list(columns))


def _show_costs(comparison: "Comparison") -> None:
    from stages.comparing.keys import COST_HEADINGS

    stores = {row.store for row in comparison.rows}
    formats = {"parameters": "{:,}".format, "fit": format_duration, "ms per document": "{:.3f}".format}
    columns = {"run": [row.run for row in comparison.rows]}
    for heading, key in COST_HEADINGS.items():
        cells = [formats.get(heading, str)(getattr(row, key)) for row in comparison.rows]
        columns[heading.replace(" document", "\ndocument")] = cells
    if len(stores) == 1:
        del columns["store"]
    text_columns = list(columns).index("parameters")
    rows = zip(*columns.values(), strict=True)
    table(list(columns), rows, text_columns=text_columns, optional=["reads", "store"])
    if len(stores) == 1 and len(comparison.rows) > 1:
        note(f"All runs read the store {stores.pop()}.")


def _format_interval(metric: "ConfidenceInterval | None") -> str:
    """A metric over its 95 % confidence interval, or a dash for a metric that the run does not have."""
    if metric is None:
        return "–"
    if metric.low < 0:  # of a difference; "-0.044–-0.010" would be hard to read
        return f"{metric.value:.3f}\n{_drop_zero(metric.low)}, {_drop_zero(metric.high)}"
    return f"{metric.value:.3f}\n{metric.low:.3f}–{metric.high:.3f}"


def _format_p_value(value: float | None) -> str:
    return "–" if value is None else f"{value:.3f}" if value >= 0.001 else "< 0.001"


def _drop_zero(value: float) -> str:
    return f"{value:.3f}".replace("0.", ".", 1)
