"""The comparison of runs, as a Python user holds it."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from stages.interactive.parameters import spell_parameters

if TYPE_CHECKING:
    from heads.evaluation.metrics import ConfidenceInterval
    from stages.comparing import table
    from stages.comparing.checks import Check
    from stages.comparing.choice import Choice

__all__ = ["Comparison"]


class Comparison:
    """Runs in a table, the best out-of-fold one first. A notebook shows it as HTML, `print` as text."""

    def __init__(self, compared: "table.Comparison") -> None:
        self._compared = compared

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences that a reader should know before comparing the runs."""
        return tuple(map(spell_parameters, self._compared.notes))

    @property
    def checks(self) -> "tuple[Check, ...]":
        """What automatic checks found: `run`, `name`, `sentence` and `next_step` of each."""
        return self._compared.checks

    @property
    def choice(self) -> "Choice | None":
        """Which run to take: `sentence`, `run` and the numbers behind it; None if there is nothing to choose from."""
        return self._compared.choice

    @property
    def _sentences(self) -> tuple[str, ...]:
        return self.notes if self.choice is None else (*self.notes, self.choice.sentence)

    def to_json(self) -> dict[str, Any]:
        """The table as plain values, as `embedonce compare --json` prints it."""
        return self._compared.to_json()

    def _cells(self) -> tuple[list[str], list[list[str]]]:
        rows = self._compared.rows
        metrics = {
            f"{self._compared.ranking_metric} out-of-fold": [row.out_of_fold for row in rows],
            f"{self._compared.ranking_metric} validation": [row.validation for row in rows],
            "macro-F1": [row.macro_f1 for row in rows],
            "micro-F1": [row.micro_f1 for row in rows],
            "accuracy": [row.accuracy for row in rows],
            "hF1": [row.tested.hf1 if row.tested else None for row in rows],
        }
        known = {name: values for name, values in metrics.items() if any(values)}
        cells = zip(*(map(_interval, values) for values in known.values()), strict=True)
        names = (" ".join((row.run, *(f"({mark})" for mark in row.marks))) for row in rows)
        lines = [[name, *values, row.rule] for name, row, values in zip(names, rows, cells, strict=True)]
        return ["run", *known, "decision rule"], lines

    def __repr__(self) -> str:
        columns, rows = self._cells()
        widths = [max(map(len, column)) for column in zip(columns, *rows, strict=True)]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [columns, *rows]
        ]
        return "\n".join([*(line.rstrip() for line in lines), *self._sentences])

    def _repr_html_(self) -> str:
        from markupsafe import Markup

        def cells(tag: str, values: Sequence[str]) -> Markup:
            template = Markup(f"<{tag}>{{}}</{tag}>")
            return Markup().join(template.format(value) for value in values)

        columns, rows = self._cells()
        head = cells("tr", [cells("th", columns)])
        body = cells("tr", [cells("td", row) for row in rows])
        return f"<table><thead>{head}</thead><tbody>{body}</tbody></table>{cells('p', self._sentences)}"


def _interval(metric: "ConfidenceInterval | None") -> str:
    if metric is None:
        return "–"
    return f"{metric.value:.3f} [{metric.low:.3f}, {metric.high:.3f}]"
