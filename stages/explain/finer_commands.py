"""Commands that encode the corpus of a run again with finer vectors, and fit a head on them."""

import shlex
from collections.abc import Iterator

from data.source_spec import SourceSpec
from data.splitting.sampling import sample_size
from data.text_format import csv_row
from featurestore import Location, Recipe
from stages.embed.encoder.options import Options
from stages.embed.pipeline.encoding_choice import options_from_recipe
from stages.fitting.record import Record
from stages.fitting.runs import Run

__all__ = ["FINER", "finer_commands"]

# level of a document that is a single unit -> the vectors that are finer, and the options of `attention` on them
FINER = {"chunks": ("segments", ()), "segments": ("tokens", ("--set", "over=tokens"))}
_ENCODING = ("window", "stride", "max_windows", "long", "prefix", "layers", "dtype", "precision", "backend")
_REPEATED, _LISTED = ("text", "tabular"), ("levels", "label_names")


def finer_commands(run: Run, location: Location, level: str) -> list[str]:
    """The commands after which a run explains documents by finer units, as a user types them.

    Args:
        run: a run on a single store.
        location: of the store.
        level: the level of the units that it explains documents by, one of LEVELS.

    Returns:
        `embed` into a store next to this one, unless it has the vectors, and `fit-head`; nothing for the finest level.
    """
    if level not in FINER:
        return []
    (recipe,), record = run.recipes, run.record
    view, settings = FINER[level]
    home = ["--store", str(location), "--corpus", record.corpus]
    commands = []
    if view not in recipe.keep:
        home = ["--store", f"{location}-{view}"]
        commands.append(["embed", *_source(record), *_encoding(recipe, view), *home])
    commands.append(["fit-head", "attention", *settings, *home, *_fit(record), *run.folder_option])
    return [shlex.join(["embedonce", *command]) for command in commands]


def _source(record: Record) -> Iterator[str]:
    """The source of a corpus and how it was read."""
    spec = SourceSpec.from_json(record.spec)
    yield from (record.source, *(spec.files or ()))
    for name, value in spec.to_json().items():
        option = f"--{name.replace('_', '-')}"
        if name in _REPEATED and not (name == "text" and spec.template):
            yield from (f"{option}={item}" for item in value)
        elif name in _LISTED:
            yield f"{option}={csv_row(value)}"
        elif name == "template":
            yield f"{option}={_escape_template(value)}"
        elif name not in ("files", *_REPEATED):
            yield f"{option}={value}"
    if record.sample_of:
        yield f"--sample={sample_size(record.corpus, record.sample_of['corpus'])}"


def _encoding(recipe: Recipe, view: str) -> Iterator[str]:
    """The options that differ from the defaults, with one view more to keep."""
    options, usual = options_from_recipe(recipe), Options(layers="-1", precision="float32", backend="torch")
    yield f"--model={options.model}"
    if recipe.revision is not None:
        yield f"--revision={recipe.revision}"
    for name in _ENCODING:
        value = getattr(options, name)
        if value != getattr(usual, name) and value not in (None, "") and (name, options.long) != ("window", "model"):
            yield f"--{name.replace('_', '-')}={value}"
    if not options.special_tokens:
        yield "--no-special-tokens"
    names = [f"segments:{recipe.segment}" if name == "segments" else name for name in recipe.keep]
    yield f"--keep={','.join([*names, view])}"


def _fit(record: Record) -> Iterator[str]:
    """The options without which `fit-head` refuses the corpus, or fits on other labels."""
    if record.unlabeled:
        yield "--skip-unlabeled"
    if record.kind == "ordinal":
        yield f"--order={csv_row(record.labels)}"
    if record.scored_level is not None:
        yield f"--scored-level={record.scored_level}"


def _escape_template(template: str) -> str:
    return template.replace("\\", r"\\").replace("\n", r"\n").replace("\t", r"\t")
