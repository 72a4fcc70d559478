"""`embedonce taxonomy`: the tree of labels in the terminal."""

from collections.abc import Mapping
from dataclasses import astuple, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import click

from commandline.options import STORE, NewFile, json_option, receives, runs_option, stores_option
from commandline.output import note, open_output, say, show, show_json, table
from commandline.source_options import SourceOptions, source_options
from data.errors import CallError
from data.text_format import plural

if TYPE_CHECKING:
    from featurestore import Location
    from stages.taxonomy.counts import CountedTaxonomy
    from stages.taxonomy.mistakes import Mistakes
    from stages.taxonomy.outline import OutlineRow

MOST_CONFUSIONS = 10  # in the terminal; --json has all


@dataclass(frozen=True, kw_only=True)
class TaxonomyOptions(SourceOptions):
    """The arguments and options of `embedonce taxonomy`."""

    source: str | None
    store: "Location | None"
    stores_folder: "Location"
    corpus: str | None
    run: str | None
    every: bool
    suggest: str | None
    output: Path | None
    runs: Path
    depth: int | None
    sort: Literal["documents", "name"] | None
    as_json: bool


@click.command(short_help="Draw the taxonomy of labels, or propose one.")
@click.argument("source", required=False)
@click.option("--depth", type=click.IntRange(1), metavar="N", help="Draw N levels.  [all]")
@click.option(
    "--sort",
    type=click.Choice(["documents", "name"]),
    help="Order of the nodes below a node.  [documents; of a run, those that lost the most documents first]",
)
@click.option("--run", metavar="RUN", help="Draw F1 of each node and where the predictions of RUN leave the true path.")
@click.option("--all", "every", is_flag=True, help="With --run: also draw nodes without mistakes.")
@click.option("--suggest", metavar="RUN", help="Propose a taxonomy for the flat labels of RUN, from its confusions.")
@click.option("--output", type=NewFile(replaces=False), help="Also write the taxonomy as an edge file: child, parent.")
@click.option("--store", type=STORE, help="A feature store.  [the newest in --stores that has --corpus]")
@stores_option
@click.option("--corpus", help="Name of a corpus in the store.  [its only one]")
@runs_option
@source_options
@json_option
@receives(TaxonomyOptions)
def taxonomy(options: TaxonomyOptions) -> None:
    """Draw the taxonomy of labels, with the number of documents at and below each node.

    SOURCE is a corpus whose labels have a taxonomy, the file of a taxonomy (CSV with the columns child and parent, or a
    JSON object of node: parents), or a feature store. Without SOURCE, the corpus of the newest store is drawn.

    \b
    embedonce taxonomy articles.jsonl --path-separator " > " --depth 2
    embedonce taxonomy --run cascade-7c2e41b0
    embedonce taxonomy --suggest linear-3f9a12bc --output groups.csv
    embedonce store label --taxonomy groups.csv
    """
    _check(options)
    if options.run is not None:
        _show_run(options.run, options)
        return
    counted = _read(options)
    if options.output is not None:
        _write_edges(counted, options.output)
    if options.as_json:
        show_json(counted.to_json())
    else:
        _draw(counted, options)
    if options.output is not None:
        say(f"The edge file is {options.output}.")


def _check(options: TaxonomyOptions) -> None:
    names = ("source", "store", "run", "suggest")
    if len([name for name in names if getattr(options, name) is not None]) > 1:
        raise CallError("SOURCE, --store, --run and --suggest each name a taxonomy. Give one of them.")
    if options.every and options.run is None:
        raise CallError("--all is for --run: otherwise all nodes are drawn. Remove it.")
    if options.output is not None and options.run is not None:
        raise CallError("--output writes a taxonomy, not the mistakes of --run. Remove it, or use --json.")


def _show_run(name: str, options: TaxonomyOptions) -> None:
    """Print F1 and the mistakes of each node, the mistakes of each level, and the most frequent confusions."""
    from stages.comparing.selection import find_run
    from stages.taxonomy.path_report import report_paths

    report = report_paths(find_run(name, options.runs))
    mistakes, hf1, half = report.mistakes, report.hf1, report.coverage.hf1_at(0.5)
    if options.as_json:
        show_json(report.to_json())
        return
    on = {"test": "test documents", "validation": "validation documents"}.get(report.split, "documents out of fold")
    show(
        f"{report.run} on {report.documents:,} {on}: hF1 {hf1.value:.3f} ({hf1.low:.3f}–{hf1.high:.3f}), and "
        f"{half:.3f} on the half with the most confident predictions."
    )
    _draw_mistakes(mistakes, options)
    levels = [astuple(level) for level in mistakes.levels]
    headings = ["level", "documents", "correct", "other\nbranch", "ends\nabove", "left\nabove", "too\ndeep"]
    table(headings, [[f"{value:,}" for value in level] for level in levels])
    _show_confusions(mistakes)


def _draw_mistakes(mistakes: "Mistakes", options: TaxonomyOptions) -> None:
    from commandline.tree_table import describe_row, tree_table
    from stages.taxonomy.outline import outline

    taxonomy, nodes = mistakes.taxonomy, mistakes.nodes
    key = {
        "name": lambda node: node,
        "documents": lambda node: (-nodes[node].support, node),
        None: mistakes.rank,
    }[options.sort]
    shown = None if options.every else mistakes.concerned
    rows = list(outline(taxonomy, key, depth=options.depth, shown=shown))
    counts = [nodes[row.node] for row in rows]
    columns = {
        "F1": [f"{each.f1:.3f}" if each.support or each.predicted else "–" for each in counts],
        "documents": [f"{each.support:,}" for each in counts],
        "lost\nhere": [f"{each.lost:,}" for each in counts],
        "lost\nbelow": [f"{each.lost_below:,}" for each in counts],
    }
    texts = [f"{taxonomy.short_name(row.node)}{describe_row(taxonomy, row)}" for row in rows]
    tree_table(list(zip(rows, texts, strict=True)), columns)
    hidden = len(taxonomy) - len(mistakes.concerned)
    if hidden and not options.every:
        verb = "is" if hidden == 1 else "are"
        note(f"{plural(hidden, 'node')} without mistakes {verb} not drawn; --all draws all nodes.")


def _show_confusions(mistakes: "Mistakes") -> None:
    """Print the most frequent confusions; numbers come first, so that long names can wrap."""
    short, rows = mistakes.taxonomy.short_name, mistakes.confusions[:MOST_CONFUSIONS]
    cells = [
        [
            f"{row.documents:,}".rjust(len("documents")),
            f"{row.share:.0%}".rjust(len("share")),
            *(short(row.true), short(row.predicted), short(row.above) if row.above else "–"),
        ]
        for row in rows
    ]
    if cells:
        table(["documents", "share", "true node", "predicted node", "parent"], cells, text_columns=5)


def _read(options: TaxonomyOptions) -> "CountedTaxonomy":
    from stages.stores import open_corpus, open_store
    from stages.taxonomy.sources import count_stored, read_file, read_source, store_location

    if options.suggest is not None:
        from stages.comparing.selection import find_run
        from stages.taxonomy.suggest import suggest_taxonomy

        return suggest_taxonomy(find_run(options.suggest, options.runs))
    if options.taxonomy is not None and options.source is None:
        if options.store is not None:
            raise CallError("--store and --taxonomy each name a taxonomy. Give one of them.")
        return read_file(options.taxonomy)
    location = options.store if options.source is None else store_location(options.source)
    if options.source is not None and location is None:
        return read_source(options.source, options.spec)
    return count_stored(open_corpus(open_store(location, options.stores_folder, options.corpus), options.corpus))


def _write_edges(counted: "CountedTaxonomy", path: Path) -> None:
    """Write a row per node and parent; a node at the top has an empty parent."""
    from stages.fitting.predictions import CsvWriter

    with open_output(path) as out:
        rows = CsvWriter(out)
        rows.writerow(["child", "parent"])
        for node, above in counted.taxonomy.parents.items():
            for parent in above or ("",):
                rows.writerow([node, parent])


def _draw(counted: "CountedTaxonomy", options: TaxonomyOptions) -> None:
    """Print a sentence about a taxonomy, and its tree."""
    from commandline.tree_table import tree_table
    from stages.taxonomy.outline import outline

    taxonomy, below, by_name = counted.taxonomy, counted.below, options.sort == "name"
    rows = list(outline(taxonomy, lambda node: (0 if by_name else -below.get(node, 0), node), depth=options.depth))
    columns: dict[str, Mapping[str, int]] = {"documents": below} if counted.documents else {}
    if counted.inner_labels:
        columns["at the\nnode itself"] = counted.labeled
    columns |= counted.splits
    cells = {name: [f"{counts.get(row.node, 0):,}" for row in rows] for name, counts in columns.items()}
    show(counted.summary)
    for sentence in counted.notes:
        note(sentence)
    texts = [f"{taxonomy.short_name(row.node)}{_describe(counted, row)}" for row in rows]
    tree_table(list(zip(rows, texts, strict=True)), cells, optional=list(counted.splits))


def _describe(counted: "CountedTaxonomy", row: "OutlineRow") -> str:
    """What is unusual about a node, in parentheses."""
    from commandline.tree_table import describe_row

    taxonomy, node = counted.taxonomy, row.node
    marks = [
        *(["label"] if node in counted.inner_labels else []),
        *(["one child"] if node in counted.single_children else []),
    ]
    return describe_row(taxonomy, row, marks)
