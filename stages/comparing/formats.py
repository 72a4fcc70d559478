"""A comparison as a table for a file: chosen columns in a chosen order, as CSV, Markdown or LaTeX."""

import io
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, TypeAlias

from heads.evaluation.bootstrap import ConfidenceInterval
from heads.evaluation.metrics import METRICS
from stages.comparing.keys import find_key, format_cell, row_values
from stages.comparing.table import Comparison
from stages.fitting import runs
from stages.fitting.predictions import CsvWriter

__all__ = ["TableFormat", "comparison_json", "comparison_table", "render_table", "sort_rows"]

TableFormat: TypeAlias = Literal["csv", "markdown", "latex"]
# shown if no columns are named, as far as a run has a value
DEFAULT_COLUMNS = (
    "run",
    "out_of_fold",
    "validation",
    "difference",
    "adjusted_p_value",
    "macro_f1",
    "micro_f1",
    "accuracy",
    "absolute_error",
    "quadratic_kappa",
    "parameters",
    "fit_seconds",
    "predict_milliseconds",
)
_RANKING = ("out_of_fold", "validation", "seeds.interval")  # keys of the ranking metric
_LOWER_IS_BETTER = {metric.attribute for metric in METRICS.values() if metric.sign < 0}
_LATEX = {"\\": r"\textbackslash{}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}"}
_LATEX |= {sign: f"\\{sign}" for sign in "&%$#_{}"}

Values: TypeAlias = Mapping[str, Any]


def sort_rows(comparison: Comparison, selected: Sequence[runs.Run], key: str) -> list[int]:
    """The order of the rows by a value.

    Args:
        comparison: the runs' comparison.
        selected: the runs.
        key: of the value, in full or its last part; with a minus in front for the reverse order.

    Returns:
        Indices of the rows: of a metric the best first, else the lowest first; rows without a value last.

    Raises:
        UnknownName: there is no such key.
    """
    values = _all_values(comparison, selected)
    name = find_key(key.removeprefix("-"), _keys(values))
    cells = [of_row.get(name) for of_row in values]
    is_metric = any(isinstance(cell, ConfidenceInterval) for cell in cells)
    ranking = next((metric for metric in METRICS.values() if metric.name == comparison.ranking_metric), None)
    attribute = ranking.attribute if ranking is not None and name in _RANKING else name.rpartition(".")[2]
    descending = is_metric and attribute not in _LOWER_IS_BETTER
    known = [row for row, cell in enumerate(cells) if format_cell(cell)]
    ordered = sorted(known, key=lambda row: _sort_key(cells[row]), reverse=descending != key.startswith("-"))
    return [*ordered, *(row for row in range(len(cells)) if row not in known)]


def _sort_key(cell: Any) -> tuple[float, str]:
    number = cell.value if isinstance(cell, ConfidenceInterval) else cell
    return (float(number), "") if isinstance(number, int | float) else (0.0, format_cell(number))


def comparison_table(
    comparison: Comparison, selected: Sequence[runs.Run], columns: Sequence[str] | None
) -> tuple[list[str], list[list[Any]]]:
    """The values of some columns.

    Args:
        comparison: the runs' comparison.
        selected: the runs.
        columns: keys, in full or their last parts; None for those of the metrics and costs that a run has.

    Returns:
        The full keys, and a row of values per run.

    Raises:
        UnknownName: there is no such key.
    """
    values = _all_values(comparison, selected)
    if columns is None:
        keys = [key for key in DEFAULT_COLUMNS if any(format_cell(row.get(key)) for row in values)]
    else:
        keys = [find_key(name, _keys(values)) for name in columns]
    return keys, [[row.get(key) for key in keys] for row in values]


def comparison_json(
    comparison: Comparison, selected: Sequence[runs.Run], columns: Sequence[str] | None
) -> dict[str, Any]:
    """The comparison as plain values; of its rows, only the named columns.

    `calibrations` has, for each run, the metrics of its probabilities with and without calibration, and the reliability
    diagrams. Arguments and errors are those of `comparison_table`.
    """
    calibrations = {run.name: run.decision.calibration.evidence for run in selected}
    evidence = {name: each.to_json() for name, each in calibrations.items() if each is not None}
    content = {**comparison.to_json(), "calibrations": evidence}
    if columns is None:
        return content
    keys, rows = comparison_table(comparison, selected, columns)
    return {**content, "rows": [dict(zip(keys, map(_plain, row), strict=True)) for row in rows]}


def render_table(keys: Sequence[str], rows: Sequence[Sequence[Any]], form: TableFormat) -> str:
    """A table as text.

    Args:
        keys: the headings.
        rows: values, one per key.
        form: CSV has a column for each bound of an interval and all digits; the others have rounded values.

    Returns:
        The lines, each with its end.
    """
    return _RENDERERS[form](keys, rows)


def _render_csv(keys: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    out = io.StringIO()
    table = CsvWriter(out)
    has_bounds = [any(isinstance(row[column], ConfidenceInterval) for row in rows) for column in range(len(keys))]
    bounds = {True: ("", ".low", ".high"), False: ("",)}
    table.writerow([f"{key}{end}" for key, wide in zip(keys, has_bounds, strict=True) for end in bounds[wide]])
    for row in rows:
        table.writerow([cell for value, wide in zip(row, has_bounds, strict=True) for cell in _csv_cells(value, wide)])
    return out.getvalue()


def _csv_cells(value: Any, wide: bool) -> list[str]:
    if isinstance(value, ConfidenceInterval):
        return [format_cell(number) for number in (value.value, value.low, value.high)]
    return [format_cell(value), *(["", ""] if wide else [])]


def _render_markdown(keys: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    cells = [[_escape_markdown(format_short(value)) for value in row] for row in rows]
    lines = [[*map(_escape_markdown, keys)], [_markdown_rule(rows, column) for column in range(len(keys))], *cells]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def _markdown_rule(rows: Sequence[Sequence[Any]], column: int) -> str:
    return "---:" if _is_numeric(rows, column) else "---"


def _escape_markdown(text: str) -> str:
    for sign in "\\|<>*`[]":
        text = text.replace(sign, f"\\{sign}")
    return text.replace("\n", " ")


def _render_latex(keys: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    align = "".join("r" if _is_numeric(rows, column) else "l" for column in range(len(keys)))
    lines = [_latex_line(map(_escape_latex, keys)), "\\midrule"]
    lines += [_latex_line(_escape_latex(format_short(value)) for value in row) for row in rows]
    body = ["\\toprule", *lines, "\\bottomrule"]
    return "\n".join([f"\\begin{{tabular}}{{{align}}}", *body, "\\end{tabular}"]) + "\n"


def _latex_line(cells: Any) -> str:
    return f"{' & '.join(cells)} \\\\"


def _escape_latex(text: str) -> str:
    return "".join(_LATEX.get(sign, sign) for sign in text).replace("\n", " ").replace("–", "--")


_RENDERERS: Mapping[TableFormat, Callable[[Sequence[str], Sequence[Sequence[Any]]], str]] = {
    "csv": _render_csv,
    "markdown": _render_markdown,
    "latex": _render_latex,
}


def format_short(value: Any) -> str:
    """A value for a reader: three decimals, thousands with commas, and an interval with its bounds."""
    if isinstance(value, ConfidenceInterval):
        return f"{value.value:.3f} ({value.low:.3f} to {value.high:.3f})"
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    if isinstance(value, float):
        return f"{value:.3f}" if 0.001 <= abs(value) < 1e6 else f"{value:.3g}"
    return format_cell(value)


def _is_numeric(rows: Sequence[Sequence[Any]], column: int) -> bool:
    cells = [row[column] for row in rows if row[column] is not None]
    return bool(cells) and all(
        isinstance(cell, int | float | ConfidenceInterval) and not isinstance(cell, bool) for cell in cells
    )


def _plain(value: Any) -> Any:
    """A value for JSON."""
    if isinstance(value, ConfidenceInterval):
        return {"value": value.value, "low": value.low, "high": value.high}
    return list(value) if isinstance(value, tuple) else value


def _all_values(comparison: Comparison, selected: Sequence[runs.Run]) -> list[Values]:
    by_name = {run.name: run for run in selected}
    return [row_values(row, by_name[row.run]) for row in comparison.rows]


def _keys(values: Sequence[Values]) -> dict[str, None]:
    return dict.fromkeys(key for row in values for key in row)
