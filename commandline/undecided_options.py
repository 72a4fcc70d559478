"""The options of `embedonce decide` for undecided documents and label sets."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import click

from data.errors import CallError

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
        from heads.evaluation.decisions.abstention import FALSE_ALARMS, AbstentionOptions

        if self.false_alarms is not None and not self.other:
            raise CallError("--false-alarms is for documents unlike those of training. Give --other too.")
        return AbstentionOptions(
            min_confidence=self.min_confidence,
            coverage=self.coverage,
            other=self.other,
            false_alarms=FALSE_ALARMS if self.false_alarms is None else self.false_alarms,
        )

    @property
    def sets(self) -> "LabelSetOptions | None":
        """Which sets of labels are made. Raises CallError as `abstention` does."""
        from heads.evaluation.decisions.label_sets import LabelSetOptions

        if self.label_sets is None:
            if self.set_score is not None or self.sets_per_label or self.empty_sets:
                raise CallError(
                    "--set-score, --sets-per-label and --empty-sets are for label sets. Give --label-sets too, as in "
                    "--label-sets 0.97."
                )
            return None
        return LabelSetOptions(
            level=self.label_sets,
            score=self.set_score or "probability",
            per_label=self.sets_per_label,
            allow_empty=self.empty_sets,
        )
