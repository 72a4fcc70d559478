"""Which runs are compared, and by which metric."""

from collections.abc import Callable, Sequence
from pathlib import Path

from data.errors import FileMissing, RunDamaged
from heads.evaluation.metrics import Metric, find_metric, ranking_metric
from stages.fitting import runs


def select_runs(
    names: Sequence[str],
    folder: Path,
    notify: Callable[[str], None] = lambda _: None,
) -> list[runs.Run]:
    """The named runs, or all runs in a folder that can be read.

    Args:
        names: of runs in `folder`, or their paths; none for all runs in `folder`.
        folder: the folder of the runs.
        notify: called with a sentence on each run that is left out because it cannot be read.

    Returns:
        The runs, at least one.

    Raises:
        FileMissing: if there is no run, and what `runs.load` raises for a run that was named.
        RunDamaged: if no run can be read.
    """
    if names:
        return [find_run(name, folder) for name in names]
    left_out: list[str] = []
    found = runs.runs_in(folder, "scorecard", "decision", "predictions", "scores", notify=left_out.append)
    if not found and left_out:
        raise RunDamaged(f"{folder} holds no run that can be read. {left_out[0]}")
    if not found:
        raise FileMissing(f"{folder} holds no run. Make one with `embedonce fit-head linear`.")
    for sentence in left_out:
        notify(sentence)
    return found


def find_run(name: str, folder: Path) -> runs.Run:
    """The run of that name in `folder`, or at that path."""
    path = folder / name
    return runs.load(Path(name) if Path(name).is_dir() and not path.is_dir() else path)


def choose_metric(selected: Sequence[runs.Run], name: str | None = None) -> Metric:
    """The metric that ranks runs: the named one, or `ranking_metric`. Raises CallError if a run does not have it."""
    if name is None:
        return ranking_metric(
            (run.ranking_scorecard for run in selected), (run.decision.evidence.metric for run in selected)
        )
    found = [
        find_metric(name, run.record.kind, has_taxonomy=bool(run.record.taxonomy), of=f"the run {run.name}")
        for run in selected
    ]
    return found[0]
