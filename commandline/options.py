"""Options that several commands share: a decorator that adds them, and a dataclass that holds their values.

A command receives its options as one frozen dataclass:

    @click.command()
    @json_option
    @receives(CompareOptions)
    def compare(options: CompareOptions) -> None: ...
"""

import csv
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import click

from commandline.config_file import CONFIG_FILE
from commandline.objective_options import ObjectiveOptions, objective_options
from data.atomic_write import check_writable
from data.errors import CallError
from data.ranges import MAX_SEED
from data.text_format import join_names

if TYPE_CHECKING:
    from featurestore import CorpusTable, FeatureStore, Location
    from heads.evaluation.metrics import Metric
    from stages.report.plots import FileFormat

Options = TypeVar("Options")
Command = Callable[..., Any]
Decorator = Callable[[Command], Command]


def receives(options: Callable[..., Options]) -> Callable[[Callable[[Options], None]], Command]:
    """A decorator that calls a command with one dataclass of type `options`, built from click's keyword arguments."""

    def decorate(command: Callable[[Options], None]) -> Command:
        @wraps(command)
        def call(**parameters: Any) -> None:
            command(options(**parameters))

        return call

    return decorate


def combine_options(*decorators: Decorator) -> Decorator:
    """One decorator that adds several options, in the order in which help shows them."""

    def decorate(command: Command) -> Command:
        for decorator in reversed(decorators):
            command = decorator(command)
        return command

    return decorate


class NewFile(click.Path):
    """A file to write. Its folder must exist and be writable, which is checked before the work and not after it."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return the path. Fails as click's own types do if its folder is missing."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}. Make it, or name another file.", param, ctx)
        check_writable(path.parent)
        try:
            path.exists()
        except OSError as error:  # a name that is too long
            self.fail(f"{path}: {error.strerror}. Name another file.", param, ctx)
        return path


class StoreLocation(click.Path):
    """A folder, or the URL of one in a bucket."""

    def __init__(self) -> None:
        super().__init__(path_type=Path)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """Return a Path or a StoreUrl. Raises CallError for a URL that no store can have."""
        if "://" not in str(value):
            return super().convert(value, param, ctx)
        from featurestore import parse_location

        return parse_location(value)


FOLDER = click.Path(path_type=Path)
STORE = StoreLocation()

json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
runs_option = click.option("--runs", type=FOLDER, default=Path("runs"), help="Folder of the runs.")
stores_option = click.option(
    "--stores",
    "stores_folder",
    type=STORE,
    default=Path("stores"),
    show_default=True,
    help="Folder of the stores, also s3://BUCKET/FOLDER.",
)
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
METRIC_NAMES = (*MAXIMIZED, "absolute-error", "tree-distance", "hamming-loss", "log-loss", "brier", "ece")
metric_option = click.option(
    "--metric",
    type=click.Choice(MAXIMIZED),
    help="What the selection maximizes; balanced-accuracy, mcc and kappa need one label per document, those of samples "
    "several, quadratic-kappa needs --order, and those after it a taxonomy.  "
    "[as --objective; hf1 for labels with a taxonomy, else macro-f1]",
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
seed_option = click.option(
    "--seed", type=click.IntRange(0, MAX_SEED), default=0, help="Seed of everything that is random."
)
device_option = click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps.")
on_option = click.option(
    "--on",
    type=click.Choice(["local", "ray"]),
    help="Engine of the workers: ray, the cluster at RAY_ADDRESS or this machine; or local, processes of this machine.",
)
trust_option = click.option(
    "--trust-remote-code", is_flag=True, help="Run Python code that comes with the model. Read it first."
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
        help="The feature store. Repeat it to join several stores.  [the newest in --stores]",
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
        by_labels = "hf1" if has_levels and kind in ("path", "multilabel") else "macro-f1"  # as `default_objective`
        # the tree distance cannot be maximized; LCA F1 falls with it
        by_objective = {"leaf": "accuracy", "distance": "lca-f1", "micro-fbeta": "micro-f1", "cost": "accuracy"}
        of_objective = self.objective if self.objective in MAXIMIZED else by_objective.get(self.objective or "")
        name = self.metric or of_objective or ("macro-f1" if self.objective else by_labels)
        of = f"{corpus.name} at level 1" if self.scored_level == 1 else corpus.name
        return find_metric(name, kind, has_taxonomy=has_levels, of=of)


chart_options = combine_options(
    click.option("--html", type=NewFile(), help="Also write a page with the chart and a table."),
    click.option("--svg", type=NewFile(), help="Also write the chart as SVG."),
    click.option("--png", type=NewFile(), help="Also write the chart as PNG; needs the extra plots."),
    click.option("--pdf", type=NewFile(), help="Also write the chart as PDF; needs the extra plots."),
)


@dataclass(frozen=True, kw_only=True)
class ChartOptions:
    """The values of `chart_options`."""

    html: Path | None
    svg: Path | None
    png: Path | None
    pdf: Path | None

    def check_formats(self) -> None:
        """Raise ExtraMissing if a format needs matplotlib, which is missing: before anything is computed."""
        if self.png is not None or self.pdf is not None:
            from stages.report.plots import require_matplotlib

            require_matplotlib()

    @property
    def chart_files(self) -> "list[tuple[FileFormat, Path]]":
        """The requested files with their formats."""
        files: list[tuple[FileFormat, Path | None]]
        files = [("html", self.html), ("svg", self.svg), ("png", self.png), ("pdf", self.pdf)]
        return [(file_format, path) for file_format, path in files if path is not None]


def split_names(names: str | None) -> tuple[str, ...] | None:
    """The names between commas, None if there are none; a name with a comma in it is quoted, as in a CSV file."""
    if not names:
        return None
    (cells,) = csv.reader([names], skipinitialspace=True)
    return tuple(cell.strip() for cell in cells)


def is_given(parameter: str) -> bool:
    """Whether the user set a parameter of the running command, on the command line or in embedonce.toml."""
    source = click.get_current_context().get_parameter_source(parameter)
    return source in (click.core.ParameterSource.COMMANDLINE, click.core.ParameterSource.DEFAULT_MAP)


def refuse_unused(parameters: Sequence[str], reason: str) -> None:
    """Raise CallError for parameters on the command line that would be ignored; those of embedonce.toml may be.

    reason: what they are for instead, after "is" or "are".
    """
    context = click.get_current_context()
    given = [
        each.opts[0]
        for each in context.command.params
        if each.name in parameters and context.get_parameter_source(each.name) is click.core.ParameterSource.COMMANDLINE
    ]
    if given:
        verb, them = ("is", "it") if len(given) == 1 else ("are", "them")
        raise CallError(f"{join_names(given, quoted=False)} {verb} {reason}. Leave {them} out.")


def describe_origin(parameter: str, default: str) -> str:
    """Where a value came from, in parentheses, for the first line that a command prints; "" for the command line."""
    source = click.get_current_context().get_parameter_source(parameter)
    if source is click.core.ParameterSource.COMMANDLINE:
        return ""
    return f" (from {CONFIG_FILE})" if source is click.core.ParameterSource.DEFAULT_MAP else f" ({default})"
