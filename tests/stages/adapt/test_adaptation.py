"""What is learned from, what is recorded, and what is refused before a training starts."""

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from data.documents import Document
from data.errors import BadData, CallError, EmbedOnceError, ExtraMissing, ModelUnavailable, StorageFailed
from data.source_spec import SourceSpec
from featurestore import text_key
from stages.adapt import support
from stages.adapt.adapt import Adaptation, TrainedEncoder, Training
from stages.adapt.cost import count_cost
from stages.adapt.judging import judge
from stages.adapt.plan import AdaptPlan, AdaptRequest
from stages.adapt.verdict import Verdict
from stages.embed.encoder.options import Options
from stages.embed.model_files.saved_encoders import VERDICT_FILE
from tests.conftest import write_csv
from tests.stages.adapt.conftest import Folders
from tests.tiny_encoder import SENTENCES, make_static

MARKER = "zebra"


def document(name: str, text: str, split: str, label: str = "a", group: str | None = None) -> Document:
    return Document(name, text, (label,), split, group)


WORDS = " ".join(SENTENCES[:4]).split()
TRAIN = [document(f"d{row}", f"report {WORDS[row]} {WORDS[-row]} oil", "train", "ab"[row % 2]) for row in range(24)]
TEST = [document(f"t{row}", f"the {MARKER} number {row} was seen", "test", "ab"[row % 2]) for row in range(6)]
DUPLICATES = [document("copy", f"The {MARKER}  number 0 was SEEN", "train")]


@pytest.fixture(autouse=True)
def _extra_is_installed(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing is trained here, so that the extra is not needed."""
    monkeypatch.setattr(support, "find_spec", lambda _name: object())
    monkeypatch.setenv("EMBEDONCE_ENCODERS", str(tmp_path / "encoders"))


def request(
    folder: Path, model: Path, documents: Sequence[Document] = (*TRAIN, *TEST, *DUPLICATES), **plan: Any
) -> AdaptRequest:
    values: dict[str, Any] = {"method": "mlm", "device": "cpu", "batch_size": 8} | plan
    return AdaptRequest(
        source=str(write_csv(folder / "docs.csv", documents)),
        encoding=Options(model=str(model), device="cpu"),
        name="new",
        plan=AdaptPlan(**values),
        stores=folder / "stores",
    )


def learned_text(adaptation: Adaptation, training: Training) -> str:
    windows, batches = adaptation.windows(training), adaptation.schedule(training).batches
    decode = adaptation.encoder.tokenizer.decode
    return "\n".join(decode(windows.tokens(number)[0].tolist()) for batch in batches for number in batch.tolist())


@pytest.mark.parametrize("method", ["mlm", "tsdae", "simcse", "supervised"])
def test_no_batch_of_any_encoder_contains_text_of_the_test_split(tmp_path: Path, folders: Folders, method: str) -> None:
    adaptation = Adaptation(request(tmp_path, folders("roberta"), method=method, cross_fit=2))
    assert [training.name for training in adaptation.trainings] == ["new.fold1", "new.fold2", "new"]
    for training in adaptation.trainings:
        text = learned_text(adaptation, training)
        assert "report" in text
        assert MARKER not in text.lower()


def test_the_record_has_the_keys_of_what_was_learned_and_no_other(tmp_path: Path, folders: Folders) -> None:
    adaptation = Adaptation(request(tmp_path, folders("bert"), method="supervised", hold_out=0.5))
    (training,) = adaptation.trainings
    (step,) = adaptation.record(training).steps
    by_key = {text_key(each.text): each.id for each in (*TRAIN, *TEST, *DUPLICATES)}
    learned = {by_key[key] for key in step.keys}
    assert len(learned) == 12
    assert learned <= {each.id for each in TRAIN}
    assert (step.method, step.uses_labels, step.includes_test) == ("supervised", True, False)


def test_learned_labels_decide_the_record_and_the_folder_of_checkpoints(tmp_path: Path, folders: Folders) -> None:
    changed = [replace(TRAIN[0], labels=TRAIN[1].labels), *TRAIN[1:]]
    made = []
    for documents in (TRAIN, changed, [*TRAIN[::-1]]):
        asked = request(tmp_path, folders("bert"), [*documents, *TEST], method="supervised", hold_out=0)
        adaptation = Adaptation(replace(asked, verdict=False))
        (training,) = adaptation.trainings
        made.append((adaptation.record(training), adaptation.checkpoints(training)))
    assert made[0] == made[2]
    assert made[0][0].steps[0].keys == made[1][0].steps[0].keys
    assert made[0][0] != made[1][0]
    assert made[0][1] != made[1][1]


@pytest.mark.parametrize("method", ["mlm", "supervised"])
def test_batches_do_not_depend_on_the_order_of_the_source(tmp_path: Path, folders: Folders, method: str) -> None:
    texts = []
    for documents in (TRAIN, TRAIN[::-1]):
        asked = request(tmp_path, folders("bert"), [*documents, *TEST], method=method, hold_out=0)
        adaptation = Adaptation(replace(asked, verdict=False))
        texts.append(learned_text(adaptation, adaptation.trainings[-1]))
    assert texts[0] == texts[1]


def test_test_texts_are_learned_from_and_recorded_on_request(tmp_path: Path, folders: Folders) -> None:
    adaptation = Adaptation(request(tmp_path, folders("roberta"), include_test=True, hold_out=0))
    (training,) = adaptation.trainings
    assert MARKER in learned_text(adaptation, training)
    assert adaptation.record(training).includes_test


def test_an_encoder_of_a_fold_does_not_learn_from_it(tmp_path: Path, folders: Folders) -> None:
    adaptation = Adaptation(request(tmp_path, folders("bert"), method="supervised", cross_fit=3))
    *folds, last = (adaptation.record(training).steps[0].keys for training in adaptation.trainings)
    assert len(last) == len(TRAIN)
    assert frozenset().union(*(last - fold for fold in folds)) == last
    assert [len(last - fold) for fold in folds] == [8, 8, 8]


def test_every_fold_counts_for_the_verdict(tmp_path: Path, folders: Folders) -> None:
    adaptation = Adaptation(request(tmp_path, folders("bert"), [*TRAIN[:8], *TEST], method="supervised", cross_fit=4))
    assert [len(training.selection.held_out) for training in adaptation.trainings] == [2, 2, 2, 2, 0]


def test_of_labels_that_are_paths_the_detailed_one_is_learned(tmp_path: Path, folders: Folders) -> None:
    labels = ("rec/hockey", "rec/baseball", "sci/space")
    documents = [replace(each, labels=(labels[row % 3],)) for row, each in enumerate([*TRAIN, *TEST])]
    asked = request(tmp_path, folders("bert"), documents, method="supervised")
    adaptation = Adaptation(replace(asked, spec=SourceSpec(path_separator="/")))
    assert adaptation.corpus.kind == "path"
    assert adaptation.documents.target(adaptation.documents.rows).labels == tuple(sorted(labels))


def test_by_default_labels_are_held_out_for_a_third_of_the_documents() -> None:
    assert AdaptPlan(method="supervised").held_out_share == 0.3
    assert AdaptPlan(method="supervised", cross_fit=3).held_out_share == 0
    assert AdaptPlan(method="mlm").held_out_share == 0.05


def test_a_few_documents_are_all_learned_from_by_default(tmp_path: Path, folders: Folders) -> None:
    few = [document(f"d{row}", f"report {WORDS[row]} oil", "train", "ab"[row % 2]) for row in range(6)]
    (training,) = Adaptation(request(tmp_path, folders("bert"), [*few, *TEST])).trainings
    assert (len(training.selection.learned), len(training.selection.held_out)) == (6, 0)


def test_the_cost_counts_every_training_and_encoding(tmp_path: Path, folders: Folders) -> None:
    adaptation = Adaptation(request(tmp_path, folders("bert"), method="supervised", cross_fit=3, steps=5))
    cost = count_cost(adaptation)
    assert (cost.trainings, cost.steps, cost.encodings) == (4, 20, 5)
    assert cost.sentence().startswith("Cost: 4 trainings (20 steps of ")
    assert cost.sentence().endswith("in all) and 5 encodings of 31 documents.")


@pytest.mark.parametrize("labeled", [0, 3, 6])
def test_heads_are_compared_only_if_enough_training_documents_have_labels(
    tmp_path: Path, folders: Folders, labeled: int
) -> None:
    unlabeled = [replace(each, labels=("",)) for each in TRAIN[labeled:]]
    asked = request(tmp_path, folders("bert"), [*TRAIN[:labeled], *unlabeled, *TEST], include_test=True)
    adaptation = Adaptation(asked)
    assert adaptation.has_labels == (labeled == 6)
    assert count_cost(adaptation).encodings == (2 if labeled == 6 else 0)


def test_batches_of_a_training_do_not_depend_on_when_they_are_planned(tmp_path: Path, folders: Folders) -> None:
    adaptation = Adaptation(request(tmp_path, folders("bert"), steps=7))
    (training,) = adaptation.trainings
    first, second = (adaptation.schedule(training).batches for _ in range(2))
    assert len(first) == 7
    assert [batch.tolist() for batch in first] == [batch.tolist() for batch in second]


@pytest.mark.parametrize(
    ("documents", "plan", "error", "message"),
    [
        ([*TEST, *DUPLICATES], {}, BadData, "no training document to learn from"),
        ([document(f"d{row}", str(row), "train") for row in range(9)] + TEST, {}, BadData, "at least 2 words"),
        ([document(f"d{row}", str(row), "train") for row in range(9)] + TEST, {"method": "tsdae"}, BadData, "deleted"),
        ([document(f"d{row}", "same", "train") for row in range(9)] + TEST, {"method": "simcse"}, BadData, "same text"),
        ([replace(each, labels=("a",)) for each in (*TRAIN, *TEST)], {"method": "supervised"}, BadData, "same label"),
        ([*TRAIN, *TEST], {"method": "supervised", "hold_out": 0.0}, BadData, "the verdict needs 5"),
        (
            [*TRAIN[:2], *TEST],
            {"method": "simcse", "cross_fit": 2},
            BadData,
            "fold1 would learn from 1 text",
        ),
        ([*TRAIN[:2], *TEST], {"method": "simcse", "hold_out": 0.5}, BadData, "new would .* smaller --hold-out"),
        ([*TRAIN[:2], *TEST], {"method": "supervised", "hold_out": 0.5}, BadData, "supervised needs at least 2"),
    ],
)
def test_documents_that_cannot_be_learned_from_are_one_sentence(
    tmp_path: Path,
    folders: Folders,
    documents: list[Document],
    plan: dict[str, Any],
    error: type[EmbedOnceError],
    message: str,
) -> None:
    with pytest.raises(error, match=message):
        Adaptation(request(tmp_path, folders("bert"), documents, **plan))


@pytest.mark.parametrize(
    ("plan", "message"),
    [
        ({"epochs": 2.0, "steps": 3}, "--epochs and --steps"),
        ({"epochs": 0.0}, "more than 0"),
        ({"lr": 0.0}, "lr is 0"),
        ({"hold_out": 1.0}, "hold-out is 1"),
        ({"cross_fit": 1}, "cross-fit"),
        ({"cross_fit": 3, "hold_out": 0.2}, "--cross-fit every document is held out"),
        ({"method": "supervised", "include_test": True}, "--include-test-text"),
    ],
)
def test_options_that_make_no_sense_are_refused(plan: dict[str, Any], message: str) -> None:
    with pytest.raises(CallError, match=message):
        AdaptPlan(**{"method": "mlm"} | plan)


@pytest.mark.parametrize(
    ("family", "method", "message"),
    [
        ("gpt2", "simcse", "is a decoder"),
        ("bart", "supervised", "is an encoder-decoder"),
        ("t5", "mlm", "is an encoder-decoder"),
        ("modernbert", "simcse", "has no dropout"),
        ("distilbert", "tsdae", "--method tsdae needs a network that can be a decoder"),
    ],
)
def test_architectures_without_support_are_refused(
    tmp_path: Path, folders: Folders, family: str, method: str, message: str
) -> None:
    with pytest.raises(ModelUnavailable, match=message):
        Adaptation(request(tmp_path, folders(family), method=method))


def test_a_static_model_and_one_without_a_tokenizer_are_refused(tmp_path: Path, folders: Folders) -> None:
    with pytest.raises(ModelUnavailable, match="is a static model"):
        Adaptation(request(tmp_path, make_static(tmp_path / "static"), method="simcse"))
    bare = tmp_path / "bare"
    bare.mkdir()
    for name in ("config.json", "model.safetensors"):
        (bare / name).symlink_to(folders("bert") / name)
    with pytest.raises(ModelUnavailable, match="tokenizer"):
        Adaptation(request(tmp_path, bare, method="simcse"))


@pytest.mark.parametrize(
    ("plan", "dim", "rate"),
    [
        ({"method": "mlm"}, 768, 5e-5),
        ({"method": "supervised"}, 384, 1e-4),
        ({"method": "tsdae"}, 768, 3e-5),
        ({"method": "simcse"}, 192, 1.2e-4),
        ({"method": "mlm"}, 32, 2e-4),
        ({"method": "mlm", "train": "lora"}, 768, 5e-4),
        ({"method": "mlm", "lr": 1e-3}, 768, 1e-3),
    ],
)
def test_the_default_learning_rate_depends_on_method_size_and_lora(plan: Any, dim: int, rate: float) -> None:
    assert AdaptPlan(**plan).resolved_lr(dim) == pytest.approx(rate)


def test_a_name_that_exists_is_refused(tmp_path: Path, folders: Folders) -> None:
    (tmp_path / "encoders" / "new").mkdir(parents=True)
    with pytest.raises(CallError, match="exists already"):
        Adaptation(request(tmp_path, folders("bert")))


def test_a_missing_extra_is_one_sentence(tmp_path: Path, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(support, "find_spec", lambda name: None if name == "peft" else object())
    with pytest.raises(ExtraMissing, match=r"needs the package peft: pip install 'embedonce\[adapt\]'"):
        Adaptation(request(tmp_path, folders("bert"), train="lora"))


def test_the_verdict_says_why_heads_cannot_be_compared_and_loses_no_training(tmp_path: Path, folders: Folders) -> None:
    frequent = [replace(each, labels=("a",)) for each in TRAIN]
    rare = document("rare", "a report of oil prices", "train", "b")
    asked = request(tmp_path, folders("bert"), [*frequent, rare, *TEST], method="tsdae", hold_out=0)
    adaptation = Adaptation(asked)
    folder = shutil.copytree(folders("bert"), tmp_path / "encoders" / "new")
    trained = TrainedEncoder(adaptation.trainings[-1], folder, None)
    verdict = judge(adaptation, [trained], notify=lambda _: None, on_work=lambda *_: None)
    assert verdict.sentence.startswith("Keep the original: heads could not be compared. Without fold 1 of 5 only 'a'")
    assert Verdict.from_json(json.loads((folder / VERDICT_FILE).read_text())) == verdict


def test_a_disk_that_is_full_is_an_error_and_no_verdict(tmp_path: Path, folders: Folders) -> None:
    adaptation = Adaptation(request(tmp_path, folders("bert"), [*TRAIN, *TEST], method="tsdae", hold_out=0))
    folder = shutil.copytree(folders("bert"), tmp_path / "encoders" / "new")

    def fail(done: float, total: float, activity: str) -> None:
        if "encoder, fold" in activity:
            raise StorageFailed("the disk is full")

    with pytest.raises(StorageFailed, match="the disk is full"):
        judge(adaptation, [TrainedEncoder(adaptation.trainings[-1], folder, None)], notify=lambda _: None, on_work=fail)
    assert not (folder / VERDICT_FILE).exists()
