"""Decision rules on simulated scores and on runs: against two packages, on random problems, and against a past commit.

    python -m benchmarks.decisions [--part rivals] [--rivals RIVALS/bin/python] [--seeds 20] [--problems 200] [--json]
    python -m benchmarks.decisions --part heads --part speed --before CHECKOUT [--runs runs]

rivals: macro-F1 on new documents, with the numbers of documents of Reuters-52 per label. A document's score for a label
    is normal with variance 1, and higher by 2.5 for its own label. Scores are exact log probabilities (calibrated), or
    too sharp, with a random shift per label (biased). The packages (`benchmarks/rivals.txt`, in an environment of their
    own) receive the softmax of the same scores. xCOLUMNs' block coordinate ascent decides all new documents together:
    it is no rule for a document, and with exact probabilities better than any.
random: problems of 2 to 50 labels and an imbalance of 1 to 1,000, four kinds of bias: how often the rule that is
    selected lowers macro-F1 on new documents by more than 0.01.
heads: the cross-fitted gain over the default rule, averaged over the runs of a folder, next to that of a past commit.
speed: CPU seconds of tuning 52 labels x 10,000 documents, next to those of a past commit in the same run.
constraints: how often the precision or recall of new documents is below the requested one.

Without --rivals or --before, the parts that need them are reported as not measured.
"""

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import click
import numpy as np
from numpy.typing import NDArray

from benchmarks.measuring import Claim, Topic, at_least, at_most, not_measured, print_topic
from commandline.output import say
from heads.evaluation.confusion_counts import ConfusionCounts
from heads.evaluation.decisions import tune_decision
from heads.evaluation.decisions.objective_request import ObjectiveRequest
from heads.evaluation.metrics import macro_f1
from heads.evaluation.score_matrix import scores_to_probabilities

REUTERS = (2840, 1596, 253, 251, 206, 190, 123, 108, 97, 90, 70, 58, 54, 46, 41, 37, 37, 33, 31, 31, 31, 26, 24, 22, 19)
REUTERS_52 = (*REUTERS, 19, 17, 15, 15, 14, 13, 13, 13, 11, 10, 9, 8, 7, 7, 6, 6, 6, 5, 4, 4, 3, 3, 3, 2, 2, 2, 1)
SIMULATIONS = ("calibrated", "biased")
RIVALS = {
    "optimal-classification-cutoffs": "cutoffs-coordinate",
    "xCOLUMNs (Frank-Wolfe)": "xcolumns-frank-wolfe",
    "xCOLUMNs (block coordinate ascent, which sees all new documents at once)": "xcolumns-block",
}
NEW = 2  # times as many new documents as documents to tune on
PARTS = ("rivals", "random", "heads", "speed", "constraints")
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1"}

Scores = NDArray[np.float32]
Codes = NDArray[np.int64]


@dataclass(frozen=True)
class Planted:
    """Simulated documents: scores times `sharpness`, plus `shifts` per label and `prior` times the log of its share."""

    documents: NDArray[np.int64]
    separation: float
    sharpness: float = 1.0
    prior: float = 1.0
    shifts: Any = 0.0

    def draw(self, random: np.random.Generator, times: int = 1) -> tuple[Scores, Codes]:
        """Scores (documents, labels) and truth. times: how many times as many documents of each label."""
        truth = random.permutation(np.repeat(np.arange(len(self.documents)), self.documents * times))
        normal = random.normal(size=(len(truth), len(self.documents)))
        normal[np.arange(len(truth)), truth] += self.separation
        share = np.log(self.documents / self.documents.sum())
        scores = self.sharpness * (self.separation * normal + self.prior * share + self.shifts)
        return scores.astype(np.float32), truth


def reuters(simulation: str, seed: int) -> Planted:
    """A simulation with the labels of Reuters-52."""
    documents, random = np.array(REUTERS_52), np.random.default_rng(1000 + seed)
    if simulation == "calibrated":
        return Planted(documents, 2.5)
    return Planted(documents, 2.5, sharpness=1.5, shifts=random.normal(0, 1, len(documents)))


def random_problem(random: np.random.Generator) -> Planted:
    """2 to 50 labels, an imbalance of 1 to 1,000, and one of four kinds of bias."""
    labels, imbalance, size = int(random.integers(2, 51)), 10 ** random.uniform(0, 3), int(random.integers(300, 2501))
    weights = imbalance ** (-np.arange(labels) / max(1, labels - 1))
    documents = np.maximum(1, (weights / weights.sum() * size).astype(int))
    kind = int(random.integers(4))
    shifts = random.normal(0, 1, labels) if kind == 1 else 0.0
    sharpness = float(np.exp(random.normal(0, 0.5)))
    return Planted(documents, random.uniform(1.5, 3.5), sharpness, {2: 0.0, 3: 2.0}.get(kind, 1.0), shifts)


def measure_rivals(simulation: str, seeds: int, python: Path | None) -> dict[str, NDArray[np.float64]]:
    """Macro-F1 on new documents of each method, one value per seed."""
    values: dict[str, list[float]] = {"argmax": [], "embedonce": []}
    arrays: dict[str, NDArray[Any]] = {}
    truths = []
    for seed in range(seeds):
        random = np.random.default_rng(seed)
        planted = reuters(simulation, seed)
        (scores, truth), (new, labels) = planted.draw(random), planted.draw(random, NEW)
        rule = tune_decision(scores, truth).rule
        for name, predicted in (("argmax", new.argmax(axis=1)), ("embedonce", rule.decide(new))):
            values[name].append(macro_f1(labels, predicted, len(REUTERS_52)))
        arrays |= {
            f"{seed:04}_fit": _probabilities(scores),
            f"{seed:04}_truth": truth,
            f"{seed:04}_new": _probabilities(new),
        }
        truths.append(labels)
        say(f"{simulation}: {seed + 1} of {seeds} seeds")
    predictions = {} if python is None else _run([str(python), "benchmarks/decisions_rivals.py"], arrays, "npz")
    for key, predicted in sorted(predictions.items()):
        seed_name, method = key.split("_", 1)
        values.setdefault(method, []).append(macro_f1(truths[int(seed_name)], predicted, len(REUTERS_52)))
    return {name: np.array(of_seeds) for name, of_seeds in values.items()}


def _probabilities(scores: Scores) -> NDArray[np.float64]:
    probabilities = scores_to_probabilities(scores, multilabel=False).astype(np.float64)
    return np.asarray(probabilities / probabilities.sum(axis=1, keepdims=True))


def _run(command: list[str], arrays: dict[str, NDArray[Any]], ending: str, checkout: Path | None = None) -> Any:
    """What a script in a process of its own makes of arrays in a file."""
    with tempfile.TemporaryDirectory() as folder:
        source, result = Path(folder) / "in.npz", Path(folder) / f"out.{ending}"
        with source.open("wb") as file:
            np.savez(file, **arrays)  # type: ignore[arg-type]  # NumPy has an option among its keyword arguments
        path = {} if checkout is None else {"PYTHONPATH": str(checkout)}
        subprocess.run([*command, str(source), str(result)], check=True, env={**ENVIRONMENT, **path})
        return json.loads(result.read_text()) if ending == "json" else dict(np.load(result))


def rivals_topic(simulation: str, seeds: int, python: Path | None) -> Topic:
    """The table and the claims of a simulation."""
    values = measure_rivals(simulation, seeds, python)
    ours, argmax = values["embedonce"], values["argmax"]
    claims = [at_least(f"{simulation}: lowest gain over argmax", float((ours - argmax).min()), -0.002)]
    for package, method in RIVALS.items():
        claim = f"{simulation}: mean macro-F1 minus that of {package}"
        if python is None:
            claims.append(not_measured(claim, 0.0, "--rivals names the Python of benchmarks/rivals.txt"))
        else:
            claims.append(at_least(claim, float(ours.mean() - values[method].mean()), 0.0))
    rows = [["method", "mean macro-F1", "lowest gain over argmax"]]
    rows += [[name, f"{one.mean():.4f}", f"{(one - argmax).min():+.4f}"] for name, one in values.items()]
    return Topic(f"{simulation} scores, {seeds} seeds, {date.today().isoformat()}", rows, claims)


def random_topic(problems: int) -> Topic:
    """How the rules that are selected on random problems do on new documents."""
    gains, families = [], []
    for seed in range(problems):
        random = np.random.default_rng(10_000 + seed)
        planted = random_problem(random)
        (scores, truth), (new, labels) = planted.draw(random), planted.draw(random, 4)
        rule = tune_decision(scores, truth).rule
        before, after = (macro_f1(labels, each, scores.shape[1]) for each in (new.argmax(axis=1), rule.decide(new)))
        gains.append(after - before)
        families.append(rule.family)
        say(f"random problems: {seed + 1} of {problems}")
    lowered = float(np.mean(np.array(gains) < -0.01))
    rows = [["rule", "problems", "mean gain in macro-F1"]]
    for family in sorted(set(families)):
        of_family = [gain for gain, name in zip(gains, families, strict=True) if name == family]
        rows.append([family, str(len(of_family)), f"{np.mean(of_family):+.4f}"])
    claims = [at_most(f"share of {problems} random problems with macro-F1 lowered by more than 0.01", lowered, 0.02)]
    return Topic("random problems", rows, claims)


def _tuned(arrays: dict[str, NDArray[Any]], before: Path | None) -> dict[str, dict[str, Any]]:
    """The results of this checkout and, if there is one, of a past one: checkout -> problem -> result."""
    here = Path.cwd()
    script = [sys.executable, "-P", str(here / "benchmarks" / "decisions_tuned.py")]
    checkouts = {"now": here} | ({} if before is None else {"before": before})
    return {name: _run(script, arrays, "json", checkout) for name, checkout in checkouts.items()}


def heads_topic(runs: Path, before: Path | None) -> Topic:
    """The cross-fitted gain of each run."""
    from stages.fitting.runs import load

    arrays: dict[str, NDArray[Any]] = {}
    for folder in sorted(runs.glob("*-????????")):
        run = load(folder)
        if not run.record.parent:
            train = run.predictions().of("train")
            arrays |= {f"{folder.name}_scores": np.array(train.scores), f"{folder.name}_truth": train.truth}
    results = _tuned(arrays, before)
    gains = {name: [one["cross_fitted"] - one["untuned"] for one in of.values()] for name, of in results.items()}
    rows = [["run", "untuned", *(f"{name}: rule, gain" for name in results)]]
    for number, run_name in enumerate(results["now"]):
        cells = [f"{of[run_name]['family']}, {gains[name][number]:+.4f}" for name, of in results.items()]
        rows.append([run_name, f"{results['now'][run_name]['untuned']:.4f}", *cells])
    claim = f"mean cross-fitted gain of {len(arrays) // 2} heads minus that of before"
    if before is None or not arrays:
        claims = [not_measured(claim, 0.0, "--before and --runs name a checkout and a folder of runs")]
    else:
        claims = [at_least(claim, float(np.mean(gains["now"]) - np.mean(gains["before"])), 0.0)]
    return Topic("runs", rows, claims)


def speed_topic(documents: int, before: Path | None) -> Topic:
    """CPU seconds of tuning 52 labels, with one label per document and with several."""
    random = np.random.default_rng(0)
    share = np.array(REUTERS_52) / sum(REUTERS_52)
    single, truth = Planted(np.maximum(1, (share * documents).astype(np.int64)), 2.5).draw(random)
    labels = random.random((documents, len(share))) < np.minimum(share, 0.5)
    several = (2 * (random.normal(size=labels.shape) + 2 * labels) - 2 + np.log(share)).astype(np.float32)
    problems = {"one label": (single, truth), "several labels": (several, labels)}
    arrays = {
        f"{name}_{part}": each
        for name, pair in problems.items()
        for part, each in zip(("scores", "truth"), pair, strict=True)
    }
    results = _tuned(arrays, before)
    rows = [["documents with", *(f"CPU seconds {name}" for name in results)]]
    rows += [[name, *(f"{of[name]['seconds']:.2f}" for of in results.values())] for name in problems]
    claims: list[Claim] = []
    for name in problems:
        claim = f"CPU seconds of 52 labels x {documents:,} documents with {name}, over those of before"
        if before is None:
            claims.append(not_measured(claim, 1 / 3, "--before names a checkout"))
        else:
            ratio = results["now"][name]["seconds"] / results["before"][name]["seconds"]
            claims.append(at_most(claim, ratio, 1 / 3))
    return Topic("speed", rows, claims)


def constraints_topic(problems: int) -> Topic:
    """How often a requested precision or recall is missed on new documents, of labels that are tuned on 500."""
    rows, claims = [["requested", "missed", "mean of new documents"]], []
    for name, bounded in (("recall-at-precision", "precision"), ("precision-at-recall", "recall")):
        reached = np.array(list(_reached(name, bounded, problems)))
        missed = float(np.mean(reached < 0.9))
        rows.append([f"{bounded} of 0.9", f"{missed:.3f}", f"{reached.mean():.3f}"])
        claims.append(at_most(f"share of {problems} rules whose {bounded} of new documents is below 0.9", missed, 0.1))
    return Topic("constraints", rows, claims)


def _reached(name: str, bounded: str, problems: int) -> Iterator[float]:
    """The precision or recall of 20,000 new documents, of each problem whose evidence says that it is reached."""
    planted = Planted(np.array([250, 150, 100]), 2.5)
    for seed in range(problems):
        random = np.random.default_rng(seed)
        (scores, truth), (new, labels) = planted.draw(random), planted.draw(random, 40)
        request = ObjectiveRequest(name=name, at=0.9, label=1, label_name="second")
        decision = tune_decision(scores, truth, objective=request)
        if decision.evidence.reached is not None and not decision.evidence.reached.unreached:
            counts = ConfusionCounts.from_predictions(labels, decision.rule.decide(new), 3)
            yield float(getattr(counts, bounded)[1])


@click.command()
@click.option("--part", "parts", type=click.Choice(PARTS), multiple=True, help="Repeat for more.  [all]")
@click.option("--rivals", type=click.Path(path_type=Path, exists=True), help="Python with benchmarks/rivals.txt.")
@click.option("--before", type=click.Path(path_type=Path, exists=True), help="A checkout of a past commit.")
@click.option("--runs", type=click.Path(path_type=Path), default=Path("runs"), show_default=True)
@click.option("--seeds", type=click.IntRange(1), default=20, show_default=True)
@click.option("--problems", type=click.IntRange(1), default=200, show_default=True)
@click.option("--documents", type=click.IntRange(100), default=10_000, show_default=True)
@click.option("--json", "as_json", is_flag=True, help="One claim per line.")
def main(
    parts: tuple[str, ...],
    rivals: Path | None,
    before: Path | None,
    runs: Path,
    seeds: int,
    problems: int,
    documents: int,
    as_json: bool,
) -> None:
    """Print tables and claims."""
    chosen = parts or PARTS
    if "rivals" in chosen:
        for simulation in SIMULATIONS:
            print_topic(rivals_topic(simulation, seeds, rivals), as_json=as_json)
    if "random" in chosen:
        print_topic(random_topic(problems), as_json=as_json)
    if "heads" in chosen:
        print_topic(heads_topic(runs, before), as_json=as_json)
    if "speed" in chosen:
        print_topic(speed_topic(documents, before), as_json=as_json)
    if "constraints" in chosen:
        print_topic(constraints_topic(problems), as_json=as_json)


if __name__ == "__main__":
    main()
