"""`embedonce store ...`: what a store holds, whether it is whole, and what keeps it so."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from commandline.options import column_options, columns_from_options, json_option, stores_option
from commandline.output import Bar, note, progress, say, show_json, table
from data.text_format import format_bytes

if TYPE_CHECKING:
    from featurestore import CompactionPlan, FeatureStore

NAMED = 10  # documents named on the screen; --json has them all

folder_argument = click.argument("folder", required=False, type=click.Path(path_type=Path))


@click.group()
def store() -> None:
    """Look into a feature store and look after it; the newest one when no FOLDER is named."""


@store.command()
@folder_argument
@stores_option
@json_option
def info(folder: Path | None, stores_folder: Path, as_json: bool) -> None:
    """What a store holds and what each kept array costs."""
    found = _opened(folder, stores_folder).info()
    if as_json:
        show_json(found)
        return
    recipe, arrays = found.pop("recipe"), found.pop("arrays")
    documents = max(found["documents"], 1)
    held = found | {"bytes": format_bytes(found["bytes"]), "dropped_share": f"{found['dropped_share']:.1%}"}
    table(["recipe", ""], [(name, _shown(value)) for name, value in recipe.items()], text_columns=2)
    table(["store", ""], [(name, _shown(value)) for name, value in held.items()], text_columns=2)
    costs = [(name, format_bytes(count), format_bytes(count / documents)) for name, count in arrays.items()]
    table(["array", "bytes", "a document"], costs)


@store.command()
@folder_argument
@stores_option
@json_option
def verify(folder: Path | None, stores_folder: Path, as_json: bool) -> None:
    """Hash and parse every shard again, hold offsets and corpora against it; exit code 1 where something is wrong.

    Shards are parsed in a process of their own with a limit on its time and memory, so a store may come from anywhere.
    """
    found = _opened(folder, stores_folder)
    with progress("verifying") as bar:
        wrong = found.verify(_bytes_on(bar))
    if as_json:
        show_json({"store": str(found.folder), "wrong": wrong})
    else:
        click.echo("\n".join(wrong) or f"{found.folder}: every shard is whole, {len(found.shards()):,} in all.")
    if wrong:
        raise click.exceptions.Exit(1)


@store.command()
@folder_argument
@stores_option
@json_option
def repair(folder: Path | None, stores_folder: Path, as_json: bool) -> None:
    """Move damaged shards to quarantine/ and name their documents, which the next `embed` encodes again."""
    from featurestore import repair_store

    found = _opened(folder, stores_folder)
    with progress("verifying") as bar:
        done = repair_store(found, _bytes_on(bar))
    if as_json:
        show_json({"store": str(found.folder), **done.to_json()})
        return
    for each in done.quarantined:
        click.echo(f"{each.path.name} was moved to {found.folder / 'quarantine'}: {each.problem}")
    for missing in done.missing:
        click.echo(missing.message)
        if missing.ids:
            more = f" and {len(missing.ids) - NAMED:,} more (--json has all)" if len(missing.ids) > NAMED else ""
            click.echo(f"  {', '.join(missing.ids[:NAMED])}{more}")
    if done.removed_temporary_files:
        note(f"{done.removed_temporary_files:,} temporary files of writers that died were removed")
    if not done.quarantined:
        click.echo(f"{found.folder}: nothing to repair, every shard is whole.")


@store.command()
@folder_argument
@stores_option
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@json_option
def compact(folder: Path | None, stores_folder: Path, dry_run: bool, as_json: bool) -> None:
    """Merge small shards into larger ones, and keep each document once.

    Not while something reads the store: a reader whose shard is gone ends with a sentence and has to be run again.
    """
    from featurestore import plan_compaction

    found = _opened(folder, stores_folder)
    _rewrite(found, plan_compaction(found), dry_run=dry_run, as_json=as_json)


@store.command()
@folder_argument
@stores_option
@click.option("--dry-run", is_flag=True, help="Only say what would go.")
@json_option
def prune(folder: Path | None, stores_folder: Path, dry_run: bool, as_json: bool) -> None:
    """Remove the features of documents that no corpus of the store names any more.

    Not while an `embed` runs into the store: what it takes for there could go.
    """
    from featurestore import plan_pruning

    found = _opened(folder, stores_folder)
    _rewrite(found, plan_pruning(found), dry_run=dry_run, as_json=as_json)


@store.command()
@click.argument("file")
@column_options
@click.option("--store", "folder", type=click.Path(path_type=Path), help="The feature store.  [the newest]")
@click.option("--corpus", help="Which corpus of the store.  [the only one]")
@stores_option
@json_option
def label(file: str, folder: Path | None, corpus: str | None, stores_folder: Path, as_json: bool, **asked: Any) -> None:
    """Replace labels, splits and groups by those in FILE, a table with a column of ids; features stay as they are.

    They hold until the corpus is embedded again, which brings those of its file back: correct them there, too.

    \b
    embedonce store label corrected.csv --id ticket --label queue
    """
    from stages.fitting.task import open_corpus
    from stages.relabel import relabel

    found = _opened(folder, stores_folder)
    done = relabel(found, open_corpus(found, corpus), file, columns_from_options(asked))
    if as_json:
        show_json({"store": str(found.folder), "corpus": done.corpus, "changed": done.changed, "notes": done.notes})
        return
    for sentence in done.notes:
        note(sentence)
    changed = ", ".join(f"{count:,} {name}" for name, count in done.changed.items())
    unnamed = f"; {done.unnamed:,} documents that {file} does not name keep theirs" if done.unnamed else ""
    click.echo(f"{done.corpus}: {changed} are others now{unnamed}.")


@store.command()
@click.argument("output", type=click.Path(path_type=Path, dir_okay=False))
@click.option("--format", "kind", type=click.Choice(["h5", "npz", "parquet"]), help="[the ending of OUTPUT]")
@click.option("--store", "folder", type=click.Path(path_type=Path), help="The feature store.  [the newest]")
@click.option("--corpus", help="Only this corpus, in its order, with ids, splits, groups and labels.")
@click.option("--overwrite", is_flag=True, help="Replace OUTPUT if it is there.")
@stores_option
@json_option
def export(
    output: Path,
    kind: str | None,
    folder: Path | None,
    corpus: str | None,
    overwrite: bool,
    stores_folder: Path,
    as_json: bool,
) -> None:
    """Write all documents into one plain file for other programs.

    \b
    embedonce store export features.h5
    embedonce store export reuters52.parquet --corpus reuters52
    """
    from featurestore.maintenance.export import export_store as write

    found = _opened(folder, stores_folder)
    with progress("exporting") as bar:
        documents = write(
            found,
            output,
            kind or output.suffix.lstrip(".").lower(),
            corpus=corpus,
            overwrite=overwrite,
            progress=_bytes_on(bar),
        )
    if as_json:
        show_json({"store": str(found.folder), "file": str(output), "documents": documents})
    else:
        click.echo(f"{output}: {documents:,} documents of {found.folder}, {format_bytes(output.stat().st_size)}.")


def _bytes_on(bar: Bar) -> Callable[[float, float], None]:
    """A callback that shows bytes done and bytes in total on `bar`."""
    return lambda done, total: bar(done, total, f"{format_bytes(done)} of {format_bytes(total)}")


def _opened(folder: Path | None, stores_folder: Path) -> "FeatureStore":
    from stages.fitting.task import open_store

    return open_store(folder, stores_folder)


def _rewrite(found: "FeatureStore", plan: "CompactionPlan", *, dry_run: bool, as_json: bool) -> None:
    from featurestore import run_compaction

    if not dry_run and plan.groups:
        with progress("rewriting") as bar:
            run_compaction(plan, found, _bytes_on(bar))
    if as_json:
        show_json({"store": str(found.folder), "dry_run": dry_run, **plan.to_json()})
        return
    click.echo(
        f"{found.folder}: {plan.unreferenced:,} documents that no corpus names and {plan.duplicates:,} second copies "
        f"{'would be' if dry_run else 'were'} removed, about {format_bytes(plan.freed_bytes)}; "
        f"{plan.shards:,} shards {'would become' if dry_run else 'became'} {plan.shards_after:,}."
    )
    if dry_run:
        say("Nothing was changed.")


def _shown(value: Any) -> str:
    """A plain value as a person reads it; hashes as their first twelve digits, `--json` has them whole."""
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
