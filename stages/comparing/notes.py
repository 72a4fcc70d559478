"""What a reader must know before comparing runs, and how a run is described in a few words."""

from collections.abc import Iterator, Mapping, Sequence

from data.splits import Split
from data.text_format import join_names, join_words, plural
from heads.evaluation.metrics import Metric
from heads.evaluation.selection_optimism import SelectionOptimism
from stages.comparing.entries import Entry, Seeds
from stages.fitting import runs
from stages.fitting.predictions import Predictions


def describe_marks(run: runs.Run) -> Iterator[str]:
    """What distinguishes the metrics of a run from those of most runs, in a few words each."""
    if run.record.scored_level is not None:
        yield f"level {run.record.scored_level}"
    if run.record.unscored:
        documents = run.ranking_scorecard.documents
        yield f"out of fold on {documents:,} of {documents + run.record.unscored:,}"
    if run.record.test_texts:
        yield "encoder read test texts"
    if run.record.decisions_scored_before:
        yield f"{plural(run.record.decisions_scored_before, 'decision')} tested before"
    decided, accuracy = run.ranking_scorecard.decided_share, run.ranking_scorecard.selective_accuracy
    if decided is not None and accuracy is not None:
        yield f"{decided.value:.1%} decided, {accuracy.value:.1%} of these correctly"
    if (sets := run.ranking_scorecard.label_sets) is not None:
        yield f"sets of {sets.mean_size.value:.2f} labels cover {sets.coverage.value:.1%}"


def describe_seeds(seeds: Seeds) -> str:
    """That a row is the mean of several seeds, and their spread."""
    return f"mean of {len(seeds.runs)} seeds, standard deviation {seeds.standard_deviation:.3f}"


def describe_optimism(optimism: SelectionOptimism, best: Entry, metric: Metric) -> str:
    """The metric of the best run next to what it is without the optimism of having chosen it."""
    ranked = f"{best.first.record.ranking_metrics.replace('_', '-')} {metric.name}"
    return (
        f"{best.first.name} is the best of {optimism.candidates} by its {ranked} of {optimism.raw:.3f}; corrected for "
        f"this choice, that is {optimism.corrected:.3f} (BBC-CV)."
    )


def describe_partial(partial: Sequence[runs.Run], metric: Metric) -> list[str]:
    """A sentence on runs whose metric is of the documents that they decide, which are the last and not compared."""
    if not partial:
        return []
    names = join_words([run.name for run in partial])
    they = "it decides: it comes last and is" if len(partial) == 1 else "they decide: they come last and are"
    return [f"The {metric.name} of {names} is of the documents that {they} not compared with the others."]


def describe_inputs(record: runs.Record) -> str:
    """What a run reads, in short; a note on a stacking ensemble names its runs."""
    if record.base_runs:
        return f"scores of {len(record.base_runs)} runs"
    return ", ".join((*record.inputs, *(label.rpartition(":")[0] for label in record.tabular)))


def describe_runs(ranked: Sequence[runs.Run]) -> list[str]:
    """Sentences on runs whose metrics cannot be compared, or only with care."""
    notes = []
    if len({run.record.scored_level for run in ranked}) > 1:
        notes.append(
            "These runs are scored at different levels of the taxonomy (--scored-level): their metrics are of "
            "different labels and cannot be compared."
        )
    notes += [*_sample_notes(ranked), *_coverage_notes(ranked), *_decision_notes(ranked)]
    if len({run.record.validate_on for run in ranked}) > 1:
        notes.append(
            "Some of these runs are validated out of fold and others on the validation split: these two metrics are of "
            "different documents and cannot be compared."
        )
    notes += [
        f"{', '.join(names)}: fitted with augmented copies ({copies})." for copies, names in _copies(ranked).items()
    ]
    if len(ranked) > 1 and (stacks := [run.name for run in ranked if run.record.base_runs]):
        notes.append(
            f"The out-of-fold metrics of {', '.join(stacks)} are slightly too high compared with runs that are no "
            "stacking ensemble; see the notes on the run."
        )
    return notes


def describe_exposure(ranked: Sequence[runs.Run], predictions: Mapping[str, Predictions]) -> list[str]:
    """Sentences on runs whose encoders learned from labels of training documents, or from texts of test documents."""
    notes, scored = [], {tuple(predictions[name].of(Split.TRAIN).ids) for name in predictions}
    if len(scored - {()}) > 1:
        notes.append(
            "Some of these runs were scored out of fold on fewer documents, because an encoder learned from the labels "
            "of the others: their out-of-fold metrics are of different documents, and differences to the first are "
            "measured on the documents that both have in common."
        )
    if names := [run.name for run in ranked if run.record.test_texts]:
        notes.append(
            f"The encoder of {', '.join(names)} learned from texts of test documents, without labels: such test "
            "metrics cannot be compared with those of encoders that did not."
        )
    return notes


def _sample_notes(ranked: Sequence[runs.Run]) -> list[str]:
    """A sentence for each corpus that is a sample of another one."""
    samples = {run.record.corpus: run.record.sample_of for run in ranked if run.record.sample_of}
    return [
        f"{name} is a sample of {whole['corpus']}, which has {whole['documents']:,} documents: `embed` without "
        "--sample encodes all of them."
        for name, whole in samples.items()
    ]


def _decision_notes(ranked: Sequence[runs.Run]) -> list[str]:
    """A sentence for each run of which several decisions were scored on the test split."""
    earlier: dict[str, int] = {}
    for run in ranked:
        if run.record.decisions_scored_before:
            earlier[run.record.parent] = max(earlier.get(run.record.parent, 0), run.record.decisions_scored_before)
    return [
        f"{before + 1} decisions on the scores of {parent} were scored on the test split: the best of their test "
        "metrics is too high."
        for parent, before in earlier.items()
    ]


def _copies(ranked: Sequence[runs.Run]) -> dict[str, list[str]]:
    """The runs that were fitted with augmented copies, by their number and corpus."""
    names: dict[str, list[str]] = {}
    for run in ranked:
        described = [f"{count:,} of {corpus}" for corpus, count in run.record.copies.items()]
        if described:
            names.setdefault(join_words(described), []).append(run.name)
    return names


def _coverage_notes(ranked: Sequence[runs.Run]) -> list[str]:
    """A sentence on the labels that the test macro-F1 leaves out, if there are any."""
    names: dict[str, list[str]] = {}
    for run in ranked:
        labels, test = len(run.record.labels), run.scorecards.get("test")
        if test and test.averaged_labels < labels:
            names.setdefault(f"{test.averaged_labels:,} of {labels:,}", []).append(run.name)
    if not names:
        return []
    shares = [f"{share} ({join_names(runs, quoted=False)})" for share, runs in names.items()]
    described = next(iter(names)) if len(names) == 1 else join_words(shares)
    return [
        f"The test macro-F1 is the mean of {described} labels: the others have no test document and were not predicted."
    ]
