"""The options of what decisions are for, which `fit-head`, `decide`, `sweep`, `curve` and `finetune` share."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commandline.options import Name

if TYPE_CHECKING:
    from stages.fitting.decision_options import DecisionOptions

OBJECTIVE_NAMES = (  # with TAXONOMY_NAMES heads.evaluation.decisions.objective_request.OBJECTIVES
    "macro-f1",
    "micro-f1",
    "weighted-f1",
    "samples-f1",
    "macro-fbeta",
    "micro-fbeta",
    "balanced-accuracy",
    "mcc",
    "accuracy",
    "cost",
    "recall-at-precision",
    "precision-at-recall",
    "absolute-error",
)
TAXONOMY_NAMES = ("hf1", "leaf", "distance", "wu-palmer")
_OPTIONS = (
    click.option(
        "--objective",
        type=Name((*OBJECTIVE_NAMES, *TAXONOMY_NAMES)),
        metavar="NAME",
        help=f"What decisions are for: {', '.join(OBJECTIVE_NAMES)}; with a taxonomy {', '.join(TAXONOMY_NAMES[:-1])} "
        f"or {TAXONOMY_NAMES[-1]}.  [hf1 for labels that are paths or have a taxonomy of their own, absolute-error "
        "for ordinal labels, else macro-f1]",
    ),
    click.option("--labels-only", is_flag=True, help="Never predict a node of the taxonomy that is no label."),
    click.option("--beta", type=float, help="For macro-fbeta and micro-fbeta: recall counts this many times as much."),
    click.option(
        "--costs",
        type=click.Path(path_type=Path),
        metavar="FILE.csv",
        help="For cost: a line per true label, a column per predicted label, and names in the first of each.",
    ),
    click.option("--at", type=float, help="For recall-at-precision: the lowest precision; for the other, recall."),
    click.option("--for-label", metavar="NAME", help="For these two: the label that they are for.  [all labels]"),
    click.option("--per-label", is_flag=True, help="For these two: each label must reach it, not all labels together."),
)


def objective_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that adds the options, in the order in which help shows them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class ObjectiveOptions:
    """The values of `objective_options`."""

    objective: str | None
    labels_only: bool
    beta: float | None
    costs: Path | None
    at: float | None
    for_label: str | None
    per_label: bool

    @property
    def decision(self) -> "DecisionOptions":
        """What decisions are for. Raises EmbedOnceError if the file of --costs cannot be used."""
        from stages.fitting.decision_options import CostMatrix, DecisionOptions

        return DecisionOptions(
            objective=self.objective,
            labels_only=self.labels_only,
            beta=self.beta,
            costs=None if self.costs is None else CostMatrix.read(self.costs),
            at=self.at,
            label=self.for_label,
            per_label=self.per_label,
        )
