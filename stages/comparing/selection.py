"""Which runs are compared, and by which metric."""

import shlex
from collections.abc import Callable, Sequence
from pathlib import Path

from data.errors import CallError, FileMissing, RunDamaged
from data.text_format import join_names, plural
from stages.comparing.common_documents import restrict_to_common
from stages.comparing.keys import RunFilter, select_matching
from stages.fitting import runs

__all__ = ["find_run", "on_same_documents", "select_runs"]

Notify = Callable[[str], None]


def select_runs(
    names: Sequence[str],
    folder: Path,
    notify: Notify = lambda _: None,
    *,
    filters: Sequence[RunFilter] = (),
    common: bool = False,
) -> list[runs.Run]:
    """The named runs, or all runs in a folder that can be read; only runs on the same documents.

    Of a folder with runs on different documents, those on the documents of its newest run are selected.

    Args:
        names: of runs in `folder`, or their paths; none for all runs in `folder`.
        folder: the folder of the runs.
        notify: called with a sentence on each run that is left out because it cannot be read, and on runs that are left
            out because they are on other documents.
        filters: conditions on the runs.
        common: restrict runs on different documents to those that all of them scored.

    Returns:
        The runs, at least one.

    Raises:
        FileMissing: if there is no run, and what `runs.load` raises for a run that was named.
        RunDamaged: if no run can be read.
        CallError: the named runs are on different documents; and what `select_matching` and `restrict_to_common` raise.
    """
    if names:
        found = [find_run(name, folder) for name in dict.fromkeys(names)]
        found = select_matching(found, filters) if filters else found
    else:
        found = _read_folder(folder, filters, notify)
    return on_same_documents(found, notify, common=common) if names or common else _newest_documents(found, notify)


def _read_folder(folder: Path, filters: Sequence[RunFilter], notify: Notify) -> list[runs.Run]:
    left_out: list[str] = []
    found = runs.runs_in(folder, "decision", notify=left_out.append)
    if found and filters:
        found = select_matching(found, filters)
    found = runs.readable(found, "scorecard", "predictions", "scores", "groups", notify=left_out.append)
    if not found and left_out:
        raise RunDamaged(f"{folder} holds no run that can be read. {left_out[-1]}")
    if not found:
        raise FileMissing(f"{folder} holds no run. Make one with `embedonce fit-head linear`.")
    for sentence in left_out:
        notify(sentence)
    return found


def on_same_documents(selected: Sequence[runs.Run], notify: Notify, *, common: bool) -> list[runs.Run]:
    """Runs whose metrics are of the same documents.

    Args:
        selected: the runs.
        notify: called with a sentence on the common documents.
        common: restrict runs on different documents to those that all of them scored.

    Returns:
        The runs, restricted if they must be.

    Raises:
        CallError: they are on different documents and not `common`; and what `restrict_to_common` raises.
    """
    by_documents = _group_by_documents(selected)
    if len(by_documents) < 2:
        return list(selected)
    if common:
        restricted, sentence = restrict_to_common(selected)
        notify(sentence)
        return restricted
    groups = "; ".join(f"{join_names([run.name for run in group], quoted=False)}" for group in by_documents)
    raise CallError(
        f"These runs were scored on {len(by_documents)} different sets of documents ({groups}), so their metrics "
        "cannot be compared. Name runs on the same documents, or add --common to compare on those that all scored."
    )


def _newest_documents(found: Sequence[runs.Run], notify: Notify) -> list[runs.Run]:
    """The runs on the documents of the newest run; a sentence says how to compare the others."""
    first, *others = sorted(
        _group_by_documents(found), key=lambda group: max(run.record.created for run in group), reverse=True
    )
    if others:
        left_out, corpora = sum(map(len, others)), sorted({group[0].record.corpus for group in others})
        verb, them = ("is", "it") if left_out == 1 else ("are", "them")
        notify(
            f"{plural(left_out, 'run')} on other documents ({join_names(corpora, quoted=False)}) {verb} left out, "
            f"because the newest run is on {first[0].record.corpus}: see {them} with --filter "
            f"{_condition(first, others[0])}, or add --common to compare all on the documents that they share."
        )
    return first


def _condition(first: Sequence[runs.Run], other: Sequence[runs.Run]) -> str:
    """A condition for --filter, as a shell reads it, that selects the runs on other documents than the first ones."""
    if other[0].record.corpus != first[0].record.corpus:
        return shlex.quote(f"corpus={other[0].record.corpus}")
    return shlex.quote(f"documents_hash={other[0].record.documents_hash[:8]}*")


def _group_by_documents(selected: Sequence[runs.Run]) -> list[list[runs.Run]]:
    groups: dict[str, list[runs.Run]] = {}
    for run in selected:
        groups.setdefault(run.record.documents_hash, []).append(run)
    return list(groups.values())


def find_run(name: str, folder: Path) -> runs.Run:
    """The run of that name in `folder`, or at that path."""
    path = folder / name
    return runs.load(Path(name) if Path(name).is_dir() and not path.is_dir() else path)
