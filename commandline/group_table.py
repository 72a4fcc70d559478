"""`embedonce compare --group-by` in the terminal and as a file."""

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

from commandline.output import note, say, show_json, table

if TYPE_CHECKING:
    from stages.comparing.grouped_metrics import GroupedMetrics

SPLITS = {"train": "out of fold", "validation": "on the validation split", "test": "on the test split"}


def print_groups(
    grouped: "GroupedMetrics", form: Literal["csv", "markdown", "latex", "json"] | None, notes: Sequence[str]
) -> None:
    """Print the metrics of each group, with their confidence intervals.

    Args:
        grouped: the metrics.
        form: how the table is written; None for the terminal.
        notes: on the runs.
    """
    from heads.evaluation.metrics import METRICS
    from stages.comparing.formats import format_short, render_table

    if form == "json":
        show_json(grouped.to_json())
        return
    keys, rows = grouped.rows()
    if form is not None:
        sys.stdout.write(render_table(keys, rows, form))
    else:
        say(f"{grouped.metric.name} of {', '.join(grouped.runs)} {SPLITS[grouped.split]}, by {grouped.column}.")
        names = {metric.attribute: metric.name for metric in METRICS.values()} if len(grouped.runs) == 1 else {}
        headings = [names.get(key, key) for key in keys]
        table(headings, [[format_short(value) or "–" for value in row] for row in rows])
    for sentence in (*notes, *grouped.notes):
        note(sentence)
