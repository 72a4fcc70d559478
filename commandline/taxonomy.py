"""`embedonce taxonomy`: the tree of labels in the terminal."""

import csv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from commandline.options import STORE, NewFile, json_option, receives, runs_option, stores_option
from commandline.output import open_output, say, show, show_json
from commandline.source_options import SourceOptions, source_options
from data.errors import CallError
from data.text_format import join_words, plural

if TYPE_CHECKING:
    from featurestore import Location
    from stages.taxonomy.counts import CountedTaxonomy
    from stages.taxonomy.outline import OutlineRow


@dataclass(frozen=True, kw_only=True)
class TaxonomyOptions(SourceOptions):
    """The arguments and options of `embedonce taxonomy`."""

    source: str | None
    store: "Location | None"
    stores_folder: "Location"
    corpus: str | None
    suggest: str | None
    output: Path | None
    runs: Path
    depth: int | None
    sort: Literal["documents", "name"]
    as_json: bool


@click.command(short_help="Draw the taxonomy of labels, or propose one.")
@click.argument("source", required=False)
@click.option("--depth", type=click.IntRange(1), metavar="N", help="Draw N levels.  [all]")
@click.option(
    "--sort", type=click.Choice(["documents", "name"]), default="documents", help="Order of the nodes below a node."
)
@click.option("--suggest", metavar="RUN", help="Propose a taxonomy for the flat labels of RUN, from its confusions.")
@click.option("--output", type=NewFile(), help="Also write the taxonomy as an edge file: child, parent.")
@click.option("--store", type=STORE, help="A feature store.  [the newest in --stores]")
@stores_option
@click.option("--corpus", help="Name of a corpus in the store.  [its only one]")
@runs_option
@source_options
@json_option
@receives(TaxonomyOptions)
def taxonomy(options: TaxonomyOptions) -> None:
    """Draw the taxonomy of labels, with the number of documents at and below each node.

    SOURCE is a corpus whose labels are paths, an edge file with the columns child and parent, or a feature store.
    Without SOURCE, the corpus of the newest store is drawn.

    \b
    embedonce taxonomy articles.jsonl --path-separator " > " --depth 2
    embedonce taxonomy --store stores/articles
    embedonce taxonomy --suggest linear-3f9a12bc --output groups.csv
    embedonce store label articles --taxonomy groups.csv
    """
    counted = _read(options)
    if options.output is not None:
        _write_edges(counted, options.output)
    if options.as_json:
        show_json(counted.to_json())
        return
    draw(counted, depth=options.depth, by_name=options.sort == "name")
    if options.output is not None:
        say(f"The edge file is {options.output}.")


def _read(options: TaxonomyOptions) -> "CountedTaxonomy":
    from stages.stores import open_corpus, open_store
    from stages.taxonomy.sources import count_stored, read_source, store_location

    given = [name for name in ("source", "store", "suggest") if getattr(options, name) is not None]
    if len(given) > 1:
        raise CallError("SOURCE, --store and --suggest exclude each other: each names a taxonomy. Give one of them.")
    if options.suggest is not None:
        from stages.compare import find_run
        from stages.taxonomy.suggest import suggest_taxonomy

        return suggest_taxonomy(find_run(options.suggest, options.runs))
    location = options.store if options.source is None else store_location(options.source)
    if options.source is not None and location is None:
        return read_source(options.source, options.spec)
    return count_stored(open_corpus(open_store(location, options.stores_folder), options.corpus))


def _write_edges(counted: "CountedTaxonomy", path: Path) -> None:
    """Write a row per node and parent; a node at the top has an empty parent."""
    parents = counted.taxonomy.parents
    with open_output(path) as out:
        rows = csv.writer(out, lineterminator="\n")
        rows.writerow(["child", "parent"])
        rows.writerows([node, parent] for node, above in parents.items() for parent in above or ("",))


def draw(counted: "CountedTaxonomy", *, depth: int | None, by_name: bool) -> None:
    """Print a sentence about a taxonomy, and its tree."""
    from commandline.tree_table import tree_table
    from stages.taxonomy.outline import outline

    taxonomy, below = counted.taxonomy, counted.below
    rows = list(outline(taxonomy, lambda node: (0 if by_name else -below.get(node, 0), node), depth=depth))
    columns: dict[str, Mapping[str, int]] = {"documents": below} if counted.documents else {}
    if counted.inner_labels:
        columns["at the\nnode itself"] = counted.labeled
    columns |= counted.splits
    cells = {name: [f"{counts.get(row.node, 0):,}" for row in rows] for name, counts in columns.items()}
    show(counted.summary)
    tree_table([(row, _describe(counted, row)) for row in rows], cells, optional=list(counted.splits))


def _describe(counted: "CountedTaxonomy", row: "OutlineRow") -> str:
    """The name of a node without that of its parent, and what is unusual about it in parentheses."""
    taxonomy, node = counted.taxonomy, row.node
    others = [taxonomy.short_name(parent) for parent in taxonomy.parents[node]]
    marks = [
        *(["label"] if node in counted.inner_labels else []),
        *(["one child"] if node in counted.single_children else []),
        *([f"below {join_words(others)}"] if node in counted.shared else []),
        *(["drawn above"] if row.is_repeated and taxonomy.children[node] else []),
        *([f"{plural(row.hidden, 'node')} below"] if row.hidden else []),
    ]
    return f"{taxonomy.short_name(node)} ({'; '.join(marks)})" if marks else taxonomy.short_name(node)
