"""The options of `embedonce decide` for undecided documents and label sets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from heads.evaluation.decisions.abstention import AbstentionOptions
    from heads.evaluation.decisions.label_sets import LabelSetOptions, SetScore

_OPTIONS = (
    click.option(
        "--min-confidence",
        type=float,
        metavar="X",
        help="Leave documents undecided whose prediction has a lower probability.",
    ),
    click.option(
        "--coverage",
        type=float,
        metavar="SHARE",
        help="Decide this share of documents, those with the highest probability, and leave the others undecided.",
    ),
    click.option("--other", is_flag=True, help="Leave documents undecided that are unlike those of training."),
    click.option(
        "--false-alarms",
        type=float,
        metavar="SHARE",
        help="For --other: the share of documents like those of training that may be left undecided.  [0.05]",
    ),
    click.option(
        "--label-sets",
        type=float,
        metavar="LEVEL",
        help="Also make sets of labels that contain the true one for this share of documents, as in 0.97.",
    ),
    click.option(
        "--set-score",
        type=click.Choice(["probability", "aps", "raps"]),
        help="What is summed up in a set: probability makes the smallest sets, aps and raps larger ones for difficult "
        "documents.  [probability]",
    ),
    click.option("--sets-per-label", is_flag=True, help="Reach the share for the documents of each label."),
    click.option("--empty-sets", is_flag=True, help="Sets may be empty; else each has the predicted label."),
)


def undecided_options(command: Callable[..., Any]) -> Callable[..., Any]:
    """A decorator that adds the options, in the order in which help shows them."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


@dataclass(frozen=True, kw_only=True)
class UndecidedOptions:
    """The values of `undecided_options`."""

    min_confidence: float | None
    coverage: float | None
    other: bool
    false_alarms: float | None
    label_sets: float | None
    set_score: "SetScore | None"
    sets_per_label: bool
    empty_sets: bool

    @property
    def abstention(self) -> "AbstentionOptions":
        """Which documents are left undecided. Raises CallError for values that cannot be, or go without another."""
        from stages.deciding.plan import abstention_options

        return abstention_options(self.min_confidence, self.coverage, other=self.other, false_alarms=self.false_alarms)

    @property
    def sets(self) -> "LabelSetOptions | None":
        """Which sets of labels are made. Raises CallError as `abstention` does."""
        from stages.deciding.plan import label_set_options

        return label_set_options(
            self.label_sets, self.set_score, per_label=self.sets_per_label, allow_empty=self.empty_sets
        )
