"""Options of the commands that fit heads, `fit-head`, `sweep` and `curve`, and the metrics that rank their runs."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import click

from commandline.objective_options import ObjectiveOptions, objective_options
from commandline.options import STORE, Name, combine_options, describe_store_origin, split_names, stores_option
from data.errors import CallError

if TYPE_CHECKING:
    from featurestore import CorpusTable, FeatureStore, Location
    from heads.evaluation.metrics import Metric

# of heads.evaluation.metrics.METRICS; a sweep maximizes one of the first
MAXIMIZED = (
    "macro-f1",
    "micro-f1",
    "weighted-f1",
    "samples-f1",
    "accuracy",
    "balanced-accuracy",
    "mcc",
    "kappa",
    "macro-precision",
    "macro-recall",
    "micro-precision",
    "micro-recall",
    "weighted-precision",
    "weighted-recall",
    "samples-precision",
    "samples-recall",
    "average-precision",
    "auroc",
    "quadratic-kappa",
    "hf1",
    "macro-hf1",
    "lca-f1",
    "wu-palmer",
)
MINIMIZED = {"absolute-error": "quadratic-kappa", "tree-distance": "lca-f1"}  # and what rises as they fall
METRIC_NAMES = (*MAXIMIZED, "absolute-error", "tree-distance", "hamming-loss", "log-loss", "brier", "ece")


class MaximizedMetric(Name):
    """A metric that can be maximized. One that is better if lower is answered with another one."""

    def get_invalid_choice_message(self, value: Any, ctx: click.Context | None) -> str:
        """The message on a value that is no choice."""
        if value in MINIMIZED:
            return f"{value} is better if it is lower, and the selection maximizes. Name {MINIMIZED[value]}."
        return super().get_invalid_choice_message(value, ctx)


def metric_option(use: str) -> Callable[[Callable[..., Any]], Callable[..., Any]]:
    """The option --metric of `curve` and `sweep`, whose help begins with what the metric is for."""
    return click.option(
        "--metric",
        type=MaximizedMetric(MAXIMIZED),
        metavar="NAME",
        help=f"{use}: {', '.join(MAXIMIZED)}; balanced-accuracy, mcc and kappa need one label per document, those of "
        "samples several, quadratic-kappa needs --order, and those after it a taxonomy.  [as --objective; "
        "quadratic-kappa with --order, hf1 for labels with a taxonomy, else macro-f1]",
    )


CALIBRATIONS = ("auto", "none", "temperature", "vector", "isotonic")  # of heads.evaluation.calibration
validate_on_option = click.option(
    "--validate-on",
    type=click.Choice(["folds", "split"]),
    default="folds",
    help="What chooses the decision rule and stops networks early: folds, or the validation split of the corpus.",
)
folds_option = click.option(
    "--folds",
    type=click.IntRange(2),
    help="Folds of the training split.  [5; with 20,000 documents or more 3, if labels have about 1,500 each, or 2, if "
    "they have 10,000]",
)
set_option = click.option(
    "--set",
    "settings",
    multiple=True,
    metavar="KEY=VALUE",
    help="A hyperparameter; `embedonce heads HEAD` lists them. Repeat for more.",
)
class_weight_option = click.option(
    "--class-weight",
    help="balanced, none, effective, sqrt, or a JSON file {label: weight}.  [the head's default]",
)
joined_stores_options = combine_options(
    click.option(
        "--store",
        type=STORE,
        multiple=True,
        help="The feature store. Repeat it to join several stores.  [the newest in --stores that has --corpus]",
    ),
    stores_option,
)
corpus_options = combine_options(
    click.option("--corpus", help="Name of a corpus in the store.  [its only one]"),
    click.option("--layer", type=int, default=-1, help="Which of the stored layers is read; layermix reads all."),
    click.option("--skip-unlabeled", is_flag=True, help="Leave documents without a label out."),
    click.option("--no-tabular", is_flag=True, help="Do not use the tabular columns of the corpus."),
    click.option(
        "--augmented",
        multiple=True,
        metavar="CORPUS",
        help="Fit on these copies of training documents too, a corpus that `augment` made. Repeat it for more.",
    ),
    click.option("--weight", metavar="COLUMN", help="Column of sample weights for the training documents."),
    click.option("--weight-from", metavar="FILE", help="File with that column.  [the file that was embedded]"),
    click.option("--weight-id", metavar="COLUMN", help="Column of the ids in that file.  [guessed, or row numbers]"),
    click.option(
        "--order",
        metavar="LABELS",
        help="Order of ordinal labels, lowest first, as in poor,fair,good; or `numbers` to sort them as numbers.",
    ),
    click.option(
        "--scored-level",
        type=click.IntRange(1),
        metavar="LEVEL",
        help="Score the nodes at this level of the taxonomy, 1 for the top; the labels below them are a teacher.",
    ),
    objective_options,
)


@dataclass(frozen=True, kw_only=True)
class CorpusOptions(ObjectiveOptions):
    """The values of `joined_stores_options` and `corpus_options`: which documents a head is fitted on, and how."""

    store: "tuple[Location, ...]"
    stores_folder: "Location"
    corpus: str | None
    layer: int
    skip_unlabeled: bool
    no_tabular: bool
    augmented: tuple[str, ...]
    weight: str | None
    weight_from: str | None
    weight_id: str | None
    order: str | None
    scored_level: int | None

    @property
    def store_origin(self) -> str:
        """Where the store came from, for the first line that a command prints."""
        return describe_store_origin(self.corpus)

    @property
    def label_order(self) -> tuple[str, ...]:
        """The labels of `--order`; a label with a comma in it is quoted, as in a CSV file."""
        if self.order is None:
            return ()
        return split_names(self.order) or ("",)

    def open_corpus(self, store: "FeatureStore") -> "CorpusTable":
        """The corpus of `--corpus`, without its tabular columns if `--no-tabular` says so."""
        from stages.stores import open_corpus

        corpus = open_corpus(store, self.corpus, copies=self.augmented)
        return replace(corpus, tabular=None) if self.no_tabular else corpus

    def open_copies(self, store: "FeatureStore") -> "tuple[CorpusTable, ...]":
        """The corpora of `--augmented`. Raises UnknownName for one that the store lacks."""
        return tuple(store.corpus(name) for name in dict.fromkeys(self.augmented))

    def read_weights(self, corpus: "CorpusTable") -> Mapping[str, float] | None:
        """The weight of each document by id, None without `--weight`. Raises as `read_sample_weights` does."""
        if self.weight is not None:
            from stages.fitting.sample_weights import read_sample_weights

            return read_sample_weights(corpus, self.weight, self.weight_from, self.weight_id)
        if self.weight_from or self.weight_id:
            raise CallError("--weight-from and --weight-id need --weight, the column of the weights. Add it.")
        return None


@dataclass(frozen=True, kw_only=True)
class SelectionOptions(CorpusOptions):
    """The values of the options that `curve` and `sweep` share, without those of `chart_options`."""

    metric: str | None
    validate_on: Literal["folds", "split"]
    settings: tuple[str, ...]
    class_weight: str | None
    runs: Path
    seed: int
    as_json: bool

    def find_metric(self, corpus: "CorpusTable") -> "Metric":
        """The metric of `--metric`, or its default for a corpus. Raises CallError for one that its labels lack."""
        from heads.evaluation.metrics import find_metric

        has_levels = corpus.taxonomy is not None and self.scored_level != 1  # nothing is above the top level
        kind = "ordinal" if self.order else corpus.kind
        if kind == "ordinal":
            by_labels = "quadratic-kappa"  # the absolute error cannot be maximized
        else:
            by_labels = "hf1" if has_levels and kind in ("path", "multilabel") else "macro-f1"  # as `default_objective`
        # the tree distance cannot be maximized; LCA F1 falls with it
        by_objective = {"leaf": "accuracy", "distance": "lca-f1", "micro-fbeta": "micro-f1", "cost": "accuracy"}
        of_objective = self.objective if self.objective in MAXIMIZED else by_objective.get(self.objective or "")
        is_default = self.objective in (None, "absolute-error")
        name = self.metric or of_objective or (by_labels if is_default else "macro-f1")
        of = f"{corpus.name} at level 1" if self.scored_level == 1 else corpus.name
        return find_metric(name, kind, has_taxonomy=has_levels, of=of)
