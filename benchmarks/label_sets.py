"""Coverage and size of label sets on the out-of-fold scores of a run, next to those of MAPIE.

    python -m benchmarks.label_sets RUN --level 0.97 --level 0.99 [--resplits 100] [--documents N] [--score aps]...
        [--mapie PYTHON] [--json]

RUN is the folder of a run with folds; the scores are those of its training documents, each by a head that was fitted
without that document, and the test split is not read. A resplit divides the documents into two halves at random; each
half has the label sets of thresholds from the other. The lowest and the highest coverage are those of single halves,
whose errors are nearly opposite in a resplit, and of the documents of both halves together. --mapie is a Python
with MAPIE (`benchmarks/rivals.txt`), which gets the same probabilities and halves. --documents takes the first of them.

The bars are those of the issue: at least the level - 1 point in every resplit, at most the level + 1 point in every
resplit if the level is above the accuracy, and sets not larger on average than MAPIE's with the same score. An empty
set of MAPIE counts as one label, and not as none: ours are never empty, and somebody has to decide the document.
"""

import json
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Claim, Topic, at_least, at_most, print_topic
from heads.evaluation.decisions.label_set_fitting import calibrate_label_sets
from heads.evaluation.decisions.label_sets import SET_SCORES, LabelSetOptions, SetScore
from stages.fitting import runs

TOLERANCE = 0.01
HEADER = (
    *("level, score", "coverage", "lowest", "highest", "lowest of a half", "highest of a half", "mean size"),
    *("coverage of MAPIE", "its mean size"),
)


@dataclass(frozen=True, eq=False)
class Documents:
    """Documents with the out-of-fold probabilities of a run. halves: bool (resplits, documents)."""

    name: str
    ids: NDArray[Any]
    probabilities: NDArray[np.float32]
    truth: NDArray[np.int64]
    halves: NDArray[np.bool_]

    @classmethod
    def of(cls, folder: Path, resplits: int, most: int | None) -> "Documents":
        """The training documents of a run."""
        run = runs.load(folder)
        rows = run.predictions().of("train")[:most]
        random = np.random.default_rng(0)
        halves = np.stack([random.permutation(len(rows.ids)) % 2 == 0 for _ in range(resplits)])
        ids = np.array(rows.ids, dtype=object)
        return cls(f"{run.record.corpus}, {run.name}", ids, rows.probabilities, rows.truth, halves)

    @property
    def accuracy(self) -> float:
        """Of the most probable label."""
        return float((self.probabilities.argmax(axis=1) == self.truth).mean())


@dataclass(frozen=True)
class Sets:
    """The coverage and the mean size of the label sets of each resplit, and the coverage of each half."""

    coverage: Sequence[float]
    size: Sequence[float]
    halves: Sequence[float] = ()


def measure(documents: Documents, level: float, score: SetScore) -> Sets:
    """Our label sets of each resplit."""
    options, values = LabelSetOptions(level=level, score=score), []
    for seed, half in enumerate(documents.halves):
        for mask in (half, ~half):
            probabilities, truth = documents.probabilities[mask], documents.truth[mask]
            rule = calibrate_label_sets(probabilities, truth, None, documents.ids[mask], options, seed)
            sets = rule.sets(documents.probabilities[~mask], documents.ids[~mask])
            covered = np.take_along_axis(sets, documents.truth[~mask][:, None], axis=1)
            values.append((covered.mean(), sets.sum(axis=1).mean()))
    coverage, size = np.reshape(values, (-1, 2, 2)).mean(axis=1).T.tolist()
    return Sets(coverage, size, [of_half for of_half, _ in values])


def measure_mapie(
    documents: Documents, levels: Sequence[float], scores: Sequence[str], python: str
) -> Mapping[tuple[str, float], Sets]:
    """MAPIE's label sets of the same resplits, by score and level."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "documents.npz"
        np.savez(
            path,
            probabilities=documents.probabilities,
            truth=documents.truth,
            halves=documents.halves,
            levels=np.array(levels),
            scores=np.array(scores),
        )
        command = [python, str(Path(__file__).with_name("mapie_sets.py")), str(path)]
        output = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
    found = [json.loads(line) for line in output.splitlines()]
    return {(each["score"], each["level"]): Sets(each["coverage"], each["size"]) for each in found}


def compare(documents: Documents, levels: Sequence[float], scores: Sequence[SetScore], mapie: str | None) -> Topic:
    """The table and the claims of all levels and scores."""
    rivals = measure_mapie(documents, levels, scores, mapie) if mapie else {}
    rows: list[Sequence[str]] = [HEADER]
    claims: list[Claim] = []
    for level in levels:
        for score in scores:
            ours, theirs, what = (
                measure(documents, level, score),
                rivals.get((score, level)),
                f"{100 * level:g} %, {score}",
            )
            values = [np.mean(ours.coverage), *_range(ours.coverage), *_range(ours.halves), np.mean(ours.size)]
            values += [np.mean(theirs.coverage), np.mean(theirs.size)] if theirs else [np.nan, np.nan]
            rows.append((what, *(f"{value:.4f}" for value in values)))
            claims += _claims(f"{documents.name}, {what}", level, level > documents.accuracy, ours, theirs)
    return Topic(f"Label sets of {documents.name}, accuracy {documents.accuracy:.3f}", rows, claims)


def _range(values: Sequence[float]) -> tuple[float, float]:
    return min(values), max(values)


def _claims(what: str, level: float, above: bool, ours: Sets, theirs: Sets | None) -> list[Claim]:
    claims: list[Claim] = []
    for documents, coverage in (("all documents", ours.coverage), ("a half", ours.halves)):
        lowest, highest = _range(coverage)
        claims.append(
            at_least(f"{what}: lowest coverage of {documents}", round(lowest, 4), round(level - TOLERANCE, 4))
        )
        if above:
            claims.append(
                at_most(f"{what}: highest coverage of {documents}", round(highest, 4), round(level + TOLERANCE, 4))
            )
    if theirs:
        larger = float(np.mean(ours.size) - np.mean(theirs.size))
        claims.append(at_most(f"{what}: mean size minus MAPIE's", round(larger, 4) + 0.0, 0.0))
    return claims


@click.command()
@click.argument("folder", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--level", "levels", type=float, multiple=True, required=True)
@click.option("--score", "scores", type=click.Choice(SET_SCORES), multiple=True, default=SET_SCORES)
@click.option("--resplits", type=click.IntRange(1), default=100, show_default=True)
@click.option("--documents", "most", type=click.IntRange(100))
@click.option("--mapie", metavar="PYTHON", help="A Python with MAPIE; without it, its sets are not made.")
@click.option("--json", "as_json", is_flag=True)
def main(
    folder: Path,
    levels: tuple[float, ...],
    scores: tuple[SetScore, ...],
    resplits: int,
    most: int | None,
    mapie: str | None,
    as_json: bool,
) -> None:
    """Print a table and its claims."""
    start, cpu = time.perf_counter(), time.process_time()
    print_topic(compare(Documents.of(folder, resplits, most), levels, scores, mapie), as_json=as_json)
    click.echo(f"{time.perf_counter() - start:.0f} s, of which {time.process_time() - cpu:.0f} s of CPU here", err=True)


if __name__ == "__main__":
    main()
