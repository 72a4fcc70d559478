"""Options that several commands share; each decorator is named for what it adds."""

import csv
import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commandline.config_file import FILE
from data.errors import CallError
from data.table import Columns

if TYPE_CHECKING:
    from featurestore import CorpusTable

Command = Callable[..., Any]


def multilabel(*options: Callable[[Command], Command]) -> Callable[[Command], Command]:
    """One decorator of many, in the order in which help shows them."""

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


text_option = click.option("--text", metavar="COLUMN", help="Column of the text.  [guessed by name]")
id_option = click.option(
    "--id", "id_", metavar="COLUMN", help="Column of the document's name.  [guessed, else row numbers]"
)
column_options = multilabel(
    text_option,
    click.option("--label", metavar="COLUMN", help="Column of the label.  [guessed by name]"),
    id_option,
    click.option("--split", metavar="COLUMN", help="Column that says train or test.  [guessed, else one is made]"),
    click.option("--group", metavar="COLUMN", help="Column whose documents stay on one side of every split."),
    click.option("--separator", metavar="TEXT", help="What stands between several labels in one cell."),
    click.option(
        "--path-separator", metavar="TEXT", help="What stands between the levels of a label, as in rec/sport."
    ),
)


class NewFile(click.Path):
    """A file to write, whose folder is there: refused before hours of work, not after them."""

    def __init__(self) -> None:
        super().__init__(path_type=Path, dir_okay=False)

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        """The path. Fails, as click's own types do, where its folder is missing."""
        path = Path(os.fsdecode(super().convert(value, param, ctx)))
        if not path.parent.is_dir():
            self.fail(f"there is no folder {path.parent}. Make it, or name another file.", param, ctx)
        return path


json_option = click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
runs_option = click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), help="Folder of the runs.")
stores_option = click.option(
    "--stores",
    "stores_folder",
    type=click.Path(path_type=Path),
    default=Path("stores"),
    show_default=True,
    help="Folder of the stores.",
)
store_options = multilabel(
    click.option("--store", type=click.Path(path_type=Path), help="The feature store.  [the newest in --stores]"),
    stores_option,
)
beside_options = multilabel(
    click.option(
        "--store",
        type=click.Path(path_type=Path),
        multiple=True,
        help="The feature store; further ones are read beside it.  [the newest in --stores]",
    ),
    stores_option,
)
documents_options = multilabel(
    click.option("--corpus", help="Which corpus of the store.  [its only one]"),
    click.option("--layer", type=int, default=-1, help="Which of the layers kept; layermix reads all."),
    click.option("--skip-unlabelled", is_flag=True, help="Leave documents without a label out."),
    click.option(
        "--weight", metavar="COLUMN", help="How much each training document counts: a column of the corpus's file."
    ),
    click.option("--weight-from", metavar="FILE", help="Where that column stands.  [the file that was embedded]"),
    click.option("--weight-id", metavar="COLUMN", help="Ids in that file.  [guessed, else row numbers, as embed does]"),
    click.option(
        "--order",
        metavar="LABELS",
        help="Of labels that have one, lowest first: poor,fair,good; or numbers, which sorts them.",
    ),
)
metric_option = click.option(
    "--metric",
    type=click.Choice(["macro-f1", "micro-f1", "accuracy", "quadratic-kappa"]),
    default="macro-f1",
    help="What counts; quadratic-kappa with --order.",
)
folds_option = click.option("--folds", type=click.IntRange(2), default=5, help="Folds of the training split.")
seed_option = click.option("--seed", type=int, default=0, help="The one seed of everything random.")
device_option = click.option("--device", default="auto", help="auto, cpu, cuda, cuda:1 or mps.")
trust_option = click.option(
    "--trust-remote-code", is_flag=True, help="Run Python code that comes with the model. Read it first."
)


def columns_from_options(asked: dict[str, Any]) -> Columns:
    """The columns that the options name."""
    return Columns(
        text=asked["text"],
        label=asked["label"],
        id=asked["id_"],
        split=asked["split"],
        group=asked["group"],
        separator=asked["separator"],
        path_separator=asked["path_separator"],
    )


def corpus_arguments(documents: "CorpusTable", asked: dict[str, Any]) -> dict[str, Any]:
    """What a plan is told by `documents_options`, by its fields. Raises as `read_sample_weights`."""
    weights = None
    if asked["weight"] is not None:
        from stages.fitting.sample_weights import read_sample_weights

        weights = read_sample_weights(documents, asked["weight"], asked["weight_from"], asked["weight_id"])
    elif asked["weight_from"] or asked["weight_id"]:
        raise CallError("--weight-from and --weight-id say where weights stand: name their column with --weight.")
    order = _order(asked["order"])
    return {"layer": asked["layer"], "skip_unlabelled": asked["skip_unlabelled"], "order": order, "weights": weights}


def _order(asked: str | None) -> tuple[str, ...]:
    """Labels between commas; one that holds a comma stands in quotation marks, as in a CSV file."""
    if asked is None:
        return ()
    (labels,) = csv.reader([asked or '""'], skipinitialspace=True)
    return tuple(label.strip() for label in labels)


def selection_metric(asked: dict[str, Any]) -> str:
    """The figure that counts, as figures are named. Raises CallError for one of ordered labels without --order."""
    if asked["metric"] == "quadratic-kappa" and not asked["order"]:
        raise CallError("--metric quadratic-kappa is of labels in an order: say which with --order.")
    return str(asked["metric"]).replace("-", "_")


def origin(parameter: str, default: str) -> str:
    """Where a value came from, for the first line that a command prints."""
    source = click.get_current_context().get_parameter_source(parameter)
    if source is click.core.ParameterSource.DEFAULT_MAP:
        return str(FILE)
    return "as asked" if source is click.core.ParameterSource.COMMANDLINE else default
