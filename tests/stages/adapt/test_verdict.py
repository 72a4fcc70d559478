"""The verdict: its rule, its words, and which documents heads are compared on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from data.documents import Document
from featurestore import EncoderTraining, FeatureStore, TrainingStep, text_key
from heads.evaluation.bootstrap import ConfidenceInterval
from stages.adapt import verdict as verdicts
from stages.adapt.verdict import Choice, HeadComparison, PerplexityChange, Verdict, compare_heads, load_both_tasks
from stages.embed.model_files.saved_encoders import VERDICT_FILE
from tests.small_store import blobs, make_store


def verdict(*differences: tuple[float, float, float]) -> Verdict:
    heads = [
        HeadComparison(head=name, original=0.8, adapted=0.8 + value, difference=ConfidenceInterval(value, low, high))
        for name, (value, low, high) in zip(("linear", "attention"), differences, strict=False)
    ]
    return Verdict(documents=100, heads=tuple(heads), perplexity=None)


GAIN, LOSS, UNSURE = (0.02, 0.01, 0.03), (-0.02, -0.03, -0.01), (0.01, -0.01, 0.03)


@pytest.mark.parametrize(
    ("differences", "choice", "start"),
    [
        ([GAIN, GAIN], Choice.USE, "Use it: linear gains 2.0 points of macro-F1 (95 % confidence interval +1.0 to"),
        ([GAIN, UNSURE], Choice.USE, "Use it: linear gains"),
        ([UNSURE, GAIN], Choice.USE, "Use it: attention gains"),
        ([GAIN, LOSS], Choice.KEEP, "Keep the original: attention loses 2.0 points"),
        ([UNSURE, LOSS], Choice.KEEP, "Keep the original: attention loses"),
        ([UNSURE, UNSURE], Choice.UNDECIDED, "Keep the original: no difference is certain"),
        ([], Choice.UNDECIDED, "Keep the original: without labels"),
    ],
)
def test_an_encoder_is_used_if_a_head_gains_and_none_loses(
    differences: list[tuple[float, float, float]], choice: Choice, start: str
) -> None:
    result = verdict(*differences)
    assert result.choice is choice
    assert result.sentence.startswith(start)
    assert result.sentences()[-1] == result.sentence


def test_a_verdict_is_read_as_it_was_saved(tmp_path: Path) -> None:
    interval = ConfidenceInterval(3.0, 2.0, 4.0)
    change = PerplexityChange(documents=9, before=interval, after=interval, ratio=interval)
    result = replace(verdict(GAIN, LOSS), perplexity=change)
    result.save(tmp_path)
    saved = json.loads((tmp_path / VERDICT_FILE).read_text())
    assert Verdict.from_json(saved) == result
    assert saved["choice"] == "keep the original"


def two_stores(folder: Path, learned: int) -> tuple[FeatureStore, FeatureStore, list[Document]]:
    """An original whose vectors say nothing, and an adapted encoder that knows the labels of `learned` documents."""
    documents, vectors = blobs(["a", "b", "c"])
    keys = frozenset(text_key(document.text) for document in documents[:learned])
    stores = []
    for name, values in (("original", np.random.default_rng(1).normal(size=vectors.shape)), ("adapted", vectors)):
        store, _ = make_store(folder / name, documents, values.astype(np.float32))
        stores.append(store)
    step = TrainingStep(method="supervised", corpus="made", uses_labels=True, includes_test=False, keys=keys)
    training = EncoderTraining(base="original", steps=(step,))
    (folder / "adapted" / "encoder_training.json").write_bytes(training.to_bytes())
    return stores[0], FeatureStore.open(folder / "adapted"), documents


def test_documents_that_the_encoder_learned_from_are_scored_with_neither_encoder(tmp_path: Path) -> None:
    original, adapted, documents = two_stores(tmp_path, learned=80)
    before, after = load_both_tasks(original, adapted, adapted.corpus("made"))
    seen = {document.id for document in documents[:80]}
    for task in (before, after):
        scored = {task.train_ids[row] for row in np.flatnonzero(task.exposure.is_scored)}
        assert scored == {each.id for each in documents if each.split == "train"} - seen


def test_heads_are_compared_on_the_same_documents(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verdicts, "HEADS", ("linear", "prototype"))  # attention takes longer
    original, adapted, _ = two_stores(tmp_path, learned=40)
    steps: list[tuple[float, float]] = []
    documents, heads = compare_heads(
        original, adapted, adapted.corpus("made"), 0, lambda done, total, _: steps.append((done, total))
    )
    assert documents == 60
    assert steps == [(done, 20) for done in range(20)]
    assert [each.head for each in heads] == ["linear", "prototype"]
    for each in heads:
        assert each.adapted > 0.9 > 0.6 > each.original
        assert each.difference.low > 0
        assert each.difference.value == pytest.approx(each.adapted - each.original)
