"""`embedonce store ...`: inspect and maintain a feature store."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commandline.options import STORE, json_option, receives, stores_option
from commandline.output import bytes_progress, download, note, progress, say, show, show_json, table
from commandline.source_options import SourceOptions, source_options
from data.errors import CallError
from data.text_format import format_bytes, join_names, plural

if TYPE_CHECKING:
    from featurestore import CompactionPlan, FeatureStore, Location

MOST_NAMES = 10  # documents that are named on the screen; --json names all

folder_argument = click.argument("folder", required=False, type=STORE)
store_option = click.option(
    "--store", "folder", type=STORE, help="The feature store.  [the newest in --stores that has --corpus]"
)
dry_run_option = click.option("--dry-run", is_flag=True, help="Report what would be done; change nothing.")


@dataclass(frozen=True, kw_only=True)
class StoreOptions:
    """The store that a subcommand works on, and the form of its output."""

    folder: "Location | None"
    stores_folder: "Location"
    as_json: bool

    def open(self, corpus: str | None = None) -> "FeatureStore":
        """The store; without a folder the newest one, of those that have the corpus. Raises as `open_store` does."""
        from stages.stores import open_store

        return open_store(self.folder, self.stores_folder, corpus)


@click.group(short_help="Inspect, verify, repair and export a store.")
def store() -> None:
    """Inspect and maintain a feature store: the newest one, unless FOLDER is given."""


@store.command(short_help="Show what a store holds, and what each array costs.")
@folder_argument
@stores_option
@json_option
@receives(StoreOptions)
def info(options: StoreOptions) -> None:
    """Show what a store holds, and what each stored array costs."""
    store = options.open()
    download([store])
    content = store.info()
    if options.as_json:
        show_json(content)
        return
    recipe, arrays = content.pop("recipe"), content.pop("arrays")
    documents = max(content["documents"], 1)
    shares = {"bytes": format_bytes(content["bytes"]), "dropped_share": f"{content['dropped_share']:.1%}"}
    table(["recipe", ""], [(name, _format_value(value)) for name, value in recipe.items()], text_columns=2)
    table(["store", ""], [(name, _format_value(value)) for name, value in (content | shares).items()], text_columns=2)
    rows = [(name, format_bytes(count), format_bytes(count / documents)) for name, count in arrays.items()]
    table(["array", "bytes", "per document"], rows)


@store.command(short_help="Check every shard; exit code 1 if something is wrong.")
@folder_argument
@stores_option
@json_option
@receives(StoreOptions)
def verify(options: StoreOptions) -> None:
    """Hash and parse every shard again, and check offsets and corpora; exit code 1 if something is wrong.

    Shards are parsed in a process of their own, with limits on its time and memory, so a store may come from anywhere.
    """
    store = options.open()
    with progress("verifying") as bar:
        problems = store.verify(bytes_progress(bar))
    if options.as_json:
        show_json({"store": str(store.location), "wrong": problems})
    else:
        show("\n".join(problems) or f"{store.location}: all shards are intact, {len(store.shard_names()):,} in total.")
    if problems:
        raise click.exceptions.Exit(1)


@store.command(short_help="Move damaged shards away; `embed` encodes them again.")
@folder_argument
@stores_option
@json_option
@receives(StoreOptions)
def repair(options: StoreOptions) -> None:
    """Move damaged shards to quarantine/ and name their documents, which the next `embed` encodes again."""
    from featurestore import repair_store

    store = options.open()
    with progress("verifying") as bar:
        result = repair_store(store, bytes_progress(bar))
    if options.as_json:
        show_json({"store": str(store.location), **result.to_json()})
        return
    for shard in result.quarantined:
        show(f"{shard.path.name} was moved to {store.location / 'quarantine'}: {shard.problem}")
    for missing in result.missing:
        show(missing.message)
        if missing.ids:
            hint = " (--json names all)" if len(missing.ids) > MOST_NAMES else ""
            show(f"  {join_names(missing.ids, MOST_NAMES, quoted=False)}{hint}")
    if result.removed_temporary_files:
        note(f"{plural(result.removed_temporary_files, 'temporary file')} of processes that died: removed.")
    if not result.quarantined:
        show(f"{store.location}: nothing to repair, all shards are intact.")


@dataclass(frozen=True, kw_only=True)
class RewriteOptions(StoreOptions):
    """The arguments and options of `embedonce store compact` or `prune`."""

    dry_run: bool


@store.command(short_help="Merge small shards, and keep each document once.")
@folder_argument
@stores_option
@dry_run_option
@json_option
@receives(RewriteOptions)
def compact(options: RewriteOptions) -> None:
    """Merge small shards into larger ones, and keep each document once.

    Do not run it while something reads the store: a reader whose shard is gone ends with an error and must run again.
    """
    from featurestore import plan_compaction

    store = options.open()
    download([store])
    _rewrite(store, plan_compaction(store), options)


@store.command(short_help="Remove documents that no corpus refers to.")
@folder_argument
@stores_option
@dry_run_option
@json_option
@receives(RewriteOptions)
def prune(options: RewriteOptions) -> None:
    """Remove the features of documents that no corpus of the store refers to any more.

    It ends if an `embed` saves a corpus meanwhile, which may need them. Do not run it while something reads the store:
    a reader whose shard is gone ends with an error and must run again.
    """
    from featurestore import plan_pruning

    store = options.open()
    download([store])
    _rewrite(store, plan_pruning(store), options)


@dataclass(frozen=True, kw_only=True)
class LabelOptions(StoreOptions, SourceOptions):
    """The arguments and options of `embedonce store label`."""

    file: str | None
    corpus: str | None


@store.command(short_help="Replace labels, splits and groups by those of a table.")
@click.argument("file", required=False)
@source_options
@store_option
@click.option("--corpus", help="Name of a corpus in the store.  [its only one]")
@stores_option
@json_option
@receives(LabelOptions)
def label(options: LabelOptions) -> None:
    """Replace labels, splits and groups by those of FILE, a table with a column of ids. Features do not change.

    --taxonomy gives the labels a taxonomy, those of FILE or, without FILE, those that the corpus has.

    If the corpus is embedded again, the labels of its own file return: correct them there, too.

    \b
    embedonce store label corrected.csv --id ticket --label queue
    embedonce store label --taxonomy queues.csv
    """
    from stages.relabel import relabel
    from stages.stores import open_corpus

    source = click.get_current_context().get_parameter_source("tabular")
    if source is click.core.ParameterSource.COMMANDLINE:  # in embedonce.toml it is for `embed`
        raise CallError(
            "`store label` replaces labels, splits and groups, not tabular columns. Leave out --tabular; "
            "`embedonce embed` with --tabular reads these columns again and encodes no text that is stored."
        )
    store = options.open(options.corpus)
    result = relabel(store, open_corpus(store, options.corpus), options.file, options.spec)
    if options.as_json:
        show_json(
            {"store": str(store.location), "corpus": result.corpus, "changed": result.changed, "notes": result.notes}
        )
        return
    for sentence in result.notes:
        note(sentence)
    changed = ", ".join(f"{count:,} {name}" for name, count in result.changed.items())
    others = f"; {result.missing:,} documents that are not in {options.file} keep theirs" if result.missing else ""
    attached = f"the taxonomy of {options.taxonomy} is attached" if options.taxonomy else ""
    replaced = f"{changed} changed{others}" if options.file or any(result.changed.values()) else ""
    show(f"{result.corpus}: {'; '.join(filter(None, (replaced, attached)))}.")


@dataclass(frozen=True, kw_only=True)
class ExportOptions(StoreOptions):
    """The arguments and options of `embedonce store export`."""

    output: Path
    kind: str | None
    corpus: str | None
    overwrite: bool


@store.command(short_help="Write all documents into one plain file.")
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option(
    "--format", "kind", type=click.Choice(["h5", "npz", "parquet"]), help="File format.  [the extension of OUTPUT]"
)
@store_option
@click.option("--corpus", help="Write only this corpus, in its order, with ids, splits, groups and labels.")
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it exists.")
@stores_option
@json_option
@receives(ExportOptions)
def export(options: ExportOptions) -> None:
    """Write all documents into one plain file for other programs.

    \b
    embedonce store export features.h5
    embedonce store export reuters52.parquet --corpus reuters52
    """
    from featurestore.maintenance.export import export_store

    store, output = options.open(options.corpus), options.output
    download([store])
    with progress("exporting") as bar:
        documents = export_store(
            store,
            output,
            options.kind or output.suffix.lstrip(".").lower(),
            corpus=options.corpus,
            overwrite=options.overwrite,
            progress=bytes_progress(bar),
        )
    if options.as_json:
        show_json({"store": str(store.location), "file": str(output), "documents": documents})
    else:
        show(f"{output}: {documents:,} documents of {store.location}, {format_bytes(output.stat().st_size)}.")


def _rewrite(store: "FeatureStore", plan: "CompactionPlan", options: RewriteOptions) -> None:
    from featurestore import run_compaction

    if not options.dry_run and plan.groups:
        with progress("rewriting") as bar:
            run_compaction(plan, store, bytes_progress(bar))
    if options.as_json:
        show_json({"store": str(store.location), "dry_run": options.dry_run, **plan.to_json()})
        return
    removed, became = ("would be", "would become") if options.dry_run else ("were", "became")
    show(
        f"{store.location}: {plan.unreferenced:,} documents that no corpus refers to and {plan.duplicates:,} "
        f"duplicates {removed} removed, about {format_bytes(plan.freed_bytes)}; "
        f"{plural(plan.shards, 'shard')} {became} {plan.shards_after:,}."
    )
    if options.dry_run:
        say("Nothing was changed.")


def _format_value(value: Any) -> str:
    """A plain value as text; a hash as its first twelve digits (`--json` has all of them)."""
    match value:
        case None | "" | []:
            return "none"
        case bool():
            return "yes" if value else "no"
        case int():
            return f"{value:,}"
        case list():
            return ", ".join(map(str, value))
        case str() if len(value) == 64:
            return value[:12]
        case _:
            return str(value)
