"""The whole of `finetune` on a tiny encoder. These tests need the extra adapt."""

import json
import os
import random
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.documents import Corpus, Document
from data.errors import CallError, ModelUnavailable
from featurestore import EncoderTraining, FeatureStore
from stages.comparing.table import compare
from stages.deciding.decide import decide
from stages.deciding.plan import DecisionPlan
from stages.embed.encoder.options import Options
from stages.embed.model_files.saved_encoders import remove_encoder, save_encoder
from stages.explain.explanation import ExplanationOptions, explain_documents
from stages.explain.source_text import SourceTexts
from stages.finetune.estimate import activation_bytes, estimate
from stages.finetune.finetune import FinetuneProgress, FinetuneResult, finetune
from stages.finetune.preparation import FinetuneRequest, prepare
from stages.finetune.settings import FinetuneSettings
from stages.fitting import runs
from stages.predict import open_encoders, predict
from tests.tiny_encoder import make_encoder, make_static

ROOT = Path(__file__).resolve().parents[3]
WORDS = {
    "farm": ("wheat", "corn", "agriculture", "exports"),
    "oil": ("oil", "price", "ministers", "rose"),
    "sport": ("goalkeeper", "penalties", "team", "cup"),
}
FILLERS = ("the", "after", "in", "on", "said", "and", "fell")
Request = Callable[..., FinetuneRequest]


def documents(count: int = 120) -> list[Document]:
    rng = random.Random(0)
    made = []
    for number in range(count):
        label = rng.choice(sorted(WORDS))
        # every fifth document has several windows
        words = [*rng.choices(WORDS[label], k=4), *rng.choices(FILLERS, k=1 if number % 5 else 30)]
        split = "test" if number % 4 == 3 else "train"
        made.append(Document(f"d{number}", f"{' '.join(words)} {number}", (label,), split))
    return made


CORPUS = Corpus("made", "made.csv", documents(), "single", None, ())
FAST = FinetuneSettings(epochs=2, batch_size=16, lr=2e-3, layer_lr=1e-2, validation=0.25)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("model") / "tiny", positions=32)


@pytest.fixture
def request_of(tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch) -> Request:
    monkeypatch.setenv("EMBEDONCE_ENCODERS", str(tmp_path / "encoders"))

    def make(corpus: Corpus = CORPUS, settings: FinetuneSettings = FAST, **values: Any) -> FinetuneRequest:
        options = Options(model=str(model), window=20, dtype="float32", keep=("cls", "mean", "max"))
        given = {"options": options, "stores": tmp_path / "stores", "runs": tmp_path / "runs", "name": "new", **values}
        return FinetuneRequest(source=corpus, settings=settings, **given)

    return make


def run(request: FinetuneRequest, **callbacks: Any) -> FinetuneResult:
    silent = {"notify": lambda _: None, "on_training": lambda _: None, "on_encoding": lambda _: None}
    result = finetune(request, **{**silent, **callbacks})
    assert result is not None
    return result


@pytest.mark.long
def test_a_run_is_taken_by_compare_predict_and_explain_and_its_encoder_is_recorded(request_of: Request) -> None:
    request = request_of(settings=replace(FAST, epochs=12, patience=12))
    result = run(request)
    record, store = result.run.record, FeatureStore.open(request.stores / result.store)
    assert (record.head, record.validate_on, result.is_new) == ("finetuned", "split", True)
    (row,) = compare([result.run]).rows
    assert row.validation is not None and row.accuracy is not None
    assert row.accuracy.value > 0.6  # chance is a third
    training = store.training
    assert training is not None
    (step,) = training.steps
    assert (step.method, step.uses_labels, step.includes_test) == ("finetune", True, False)
    table = store.corpus("made")
    learned = {table.ids[row] for row, key in enumerate(table.keys) if key in step.keys}
    validated = {*result.run.predictions().of("validation").ids}
    assert not learned & validated
    assert learned | validated == {each.id for each in CORPUS.documents if each.split == "train"}

    test = [each for each in CORPUS.documents if each.split == "test"]
    predicted = list(predict(result.run, test, open_encoders(result.run)))
    stored = result.run.predictions().of("test")
    assert [each.label for each in predicted] == [record.labels[code] for code in stored.predicted]

    decided = decide(result.run, DecisionPlan(tune=False), final=True).run
    assert set(decided.scorecards) == {"validation", "test"}
    redecided = [each.label for each in predict(decided, test[:4], open_encoders(decided))]
    assert redecided == [record.labels[code] for code in decided.predictions().of("test").predicted[:4]]

    texts = SourceTexts({}, None)
    (explanation,) = explain_documents(result.run, store, table, [_longest(test)], ExplanationOptions(), texts)
    assert explanation.level == "chunks"
    assert len(explanation.attributions) > 1


def _longest(documents: list[Document]) -> str:
    return max(documents, key=lambda each: len(each.text)).id


@pytest.mark.long
def test_the_same_command_finds_its_run_and_another_one_needs_another_name(request_of: Request) -> None:
    first = run(request_of())
    again = run(request_of())
    assert (again.run.name, again.encoder, again.is_new) == (first.run.name, "new", False)
    with pytest.raises(CallError, match="exists already"):
        run(request_of(settings=replace(FAST, seed=1)))


class Stop:
    """Interrupts a training as Ctrl-C does, after some steps."""

    def __init__(self, step: int) -> None:
        self._step = step

    def __call__(self, now: FinetuneProgress) -> None:
        if now.step == self._step and not now.interrupted:
            import signal

            signal.raise_signal(signal.SIGINT)


@pytest.mark.long
@pytest.mark.parametrize("validate_on", ["share", "folds"])
def test_an_interrupted_training_resumes_and_ends_with_the_same_result(
    request_of: Request, tmp_path: Path, validate_on: Any
) -> None:
    settings = replace(FAST, validate_on=validate_on, folds=2)
    whole = run(request_of(settings=settings, runs=tmp_path / "whole", name="whole"))
    with pytest.raises(KeyboardInterrupt):
        run(request_of(settings=settings), on_training=Stop(3))
    (checkpoint,) = (tmp_path / "runs" / "unfinished").glob("*/training-1/checkpoint-*")
    assert checkpoint.name == "checkpoint-3"
    steps: list[int] = []
    resumed = run(request_of(settings=settings), on_training=lambda now: steps.append(now.step))
    assert steps[0] == 3
    np.testing.assert_allclose(resumed.run.predictions().scores, whole.run.predictions().scores, atol=1e-5)
    assert any("interrupted and resumed" in note for note in resumed.run.record.notes)
    assert not (tmp_path / "runs" / "unfinished").exists()


@pytest.mark.long
@pytest.mark.parametrize("is_stopped", [False, True])
def test_early_stopping_counts_the_epochs_before_an_interrupt(
    request_of: Request, monkeypatch: pytest.MonkeyPatch, is_stopped: bool
) -> None:
    from stages.finetune.classifier import EncoderClassifier
    from stages.finetune.training import Training

    values, evaluated = (0.5, 0.4, 0.3, 0.9), list[float]()

    def macro_f1(*_: Any) -> float:
        evaluated.append(values[len(evaluated)])
        return evaluated[-1]

    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(Training, "_macro_f1", macro_f1)
    request = request_of(settings=replace(FAST, epochs=6))
    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        if is_stopped:
            patch.setattr(EncoderClassifier, "merge_adapter", interrupt)
        run(request, on_training=Stop(-1 if is_stopped else 2 * 5 + 1))
    assert evaluated == list(values[: 3 if is_stopped else 2])
    steps: list[int] = []
    run(request, on_training=lambda now: steps.append(now.step))
    assert evaluated == [0.5, 0.4, 0.3]
    assert steps[-1] == 3 * 5


@pytest.mark.long
def test_an_interrupt_after_training_does_not_train_again(request_of: Request) -> None:
    def interrupt(_: object) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(request_of(), on_encoding=interrupt)
    steps: list[int] = []
    assert run(request_of(), on_training=lambda now: steps.append(now.step)).is_new
    assert steps == []


@pytest.mark.usefixtures("without_extra")
def test_a_layer_is_of_the_encoder_that_its_own_training_saved(request_of: Request) -> None:
    def save(name: str, training: EncoderTraining) -> None:
        with save_encoder(name, training) as folder:
            (folder / "config.json").write_text("{}")

    interrupted = prepare(request_of(name="a"), lambda _: None)
    interrupted.layer_folder.mkdir(parents=True)
    save("a", interrupted.record)
    assert prepare(request_of(name="a"), lambda _: None).is_trained
    save("b", interrupted.record)
    with pytest.raises(CallError, match="exists already"):
        prepare(request_of(name="b"), lambda _: None)
    remove_encoder("a")
    save("a", prepare(request_of(settings=replace(FAST, seed=1), name="c"), lambda _: None).record)
    with pytest.raises(CallError, match="exists already"):
        prepare(request_of(name="a"), lambda _: None)


@pytest.mark.usefixtures("without_extra")
def test_the_record_of_an_encoder_says_which_labels_it_learned(request_of: Request) -> None:
    renamed = [replace(each, labels=tuple(f"other {label}" for label in each.labels or ())) for each in documents()]
    first, same, other = (
        prepare(request_of(corpus), lambda _: None).record
        for corpus in (CORPUS, CORPUS, replace(CORPUS, documents=renamed))
    )
    assert first == same != other
    assert first.steps[-1].keys == other.steps[-1].keys


def make_encoder_without_dropout(folder: Path) -> Path:
    """An encoder in whose training the parts of a batch draw no random numbers."""
    make_encoder(folder, positions=32)
    config = json.loads((folder / "config.json").read_text())
    config |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.usefixtures("without_extra")
def test_memory_that_runs_out_divides_scoring_and_the_dry_run_too(
    request_of: Request, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stages.finetune.classifier import EncoderClassifier, WindowBatch

    training = prepare(request_of(), lambda _: None).open_training()
    network, rows = training.build(3), np.arange(20)
    whole, forward = training.scores(network, rows), EncoderClassifier.forward

    def small(self: EncoderClassifier, batch: WindowBatch) -> Any:
        if len(batch.windows) > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, batch)

    monkeypatch.setattr(EncoderClassifier, "forward", small)
    np.testing.assert_allclose(training.scores(network, rows), whole, atol=1e-5)
    assert training.micro_batches.halvings
    assert estimate(request_of(), notify=lambda _: None).seconds > 0


@pytest.mark.long
def test_memory_that_runs_out_divides_a_step_and_does_not_change_the_result(
    request_of: Request, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stages.finetune.classifier import EncoderClassifier, WindowBatch

    model = make_encoder_without_dropout(tmp_path / "model")
    settings, options = replace(FAST, epochs=1, dropout=0.0), replace(request_of().options, model=str(model))
    whole = run(request_of(settings=settings, runs=tmp_path / "whole", name="whole", options=options))
    forward = EncoderClassifier.forward

    def small(self: EncoderClassifier, batch: WindowBatch) -> Any:
        if self.training and len(batch.windows) > 4:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return forward(self, batch)

    monkeypatch.setattr(EncoderClassifier, "forward", small)
    divided = run(request_of(settings=settings, options=options))
    assert any("Memory ran out" in note for note in divided.run.record.notes)
    np.testing.assert_allclose(divided.run.predictions().scores, whole.run.predictions().scores, atol=2e-3)


@pytest.mark.long
@pytest.mark.parametrize("train", ["lora", "last:1"])
def test_a_part_of_the_encoder_is_trained_and_the_encoder_is_one_of_its_family(
    request_of: Request, model: Path, train: str
) -> None:
    result = run(request_of(settings=replace(FAST, train=train, epochs=1)))
    from safetensors.numpy import load_file

    before = load_file(model / "model.safetensors")
    after = load_file(Path(os.environ["EMBEDONCE_ENCODERS"]) / "new" / "model.safetensors")
    assert {name for name in before if "pooler" not in name} == set(after)
    changed = {name for name in after if not np.array_equal(before[name], after[name])}
    assert any(".layer.1." in name for name in changed)
    assert not any("embeddings" in name for name in changed)
    if train == "last:1":
        assert not any(".layer.0." in name for name in changed)
    assert 0 < result.run.record.parameter_count < sum(each.size for each in after.values())


def multilabel(each: Document) -> Document:
    (label,) = each.labels or ()
    return replace(each, labels=(label, "long") if len(each.text) > 90 else (label,))


@pytest.mark.long
@pytest.mark.parametrize(
    ("kind", "values", "settings"),
    [
        ("multilabel", {}, {"loss": "asymmetric", "class_weight": {"long": 2.0}}),
        ("single", {"order": ("farm", "oil", "sport")}, {"loss": "emd"}),
        ("single", {}, {"sampler": "weighted", "class_weight": "balanced", "pooling": "max", "vector": "cls"}),
        ("single", {}, {"validate_on": "folds", "folds": 2, "loss": "logit_adjusted"}),
        ("single", {"test": False, "tune": False, "precision": "bfloat16"}, {}),
    ],
)
def test_every_kind_of_labels_has_a_run(
    request_of: Request, kind: Any, values: dict[str, Any], settings: dict[str, Any]
) -> None:
    corpus = CORPUS if kind == "single" else replace(CORPUS, kind=kind, documents=list(map(multilabel, documents())))
    result = run(request_of(corpus, replace(FAST, epochs=1, **settings), **values))
    record = result.run.record
    assert record.kind == ("ordinal" if "order" in values else kind)
    assert ("test" in result.run.scorecards) == values.get("test", True)
    assert ("out_of_fold" in result.run.scorecards) == (settings.get("validate_on") == "folds")
    assert record.unscored == 0
    assert runs.load(result.run.folder).head().multilabel_ == (kind == "multilabel")
    assert record.hyperparameters["finetune"]["epochs"] == 1


@pytest.mark.long
def test_a_dry_run_writes_nothing(request_of: Request, tmp_path: Path) -> None:
    result = estimate(request_of(), notify=lambda _: None)
    assert result.steps == 2 * 5
    assert result.seconds > 0
    assert result.trained_parameters == result.parameters
    assert list(tmp_path.iterdir()) == []


@pytest.mark.usefixtures("without_extra")
def test_the_memory_of_a_step_is_what_backpropagation_keeps(request_of: Request) -> None:
    training = prepare(request_of(), lambda _: None).open_training()
    network = training.build(3).train()
    longest = np.argsort(-training.positions)[: FAST.batch_size]
    ((_, batch),) = training.micro_batches.split(longest)
    weights = {weight.untyped_storage().data_ptr() for weight in network.parameters()}
    kept: dict[int, torch.Tensor] = {}

    def keep(values: torch.Tensor) -> torch.Tensor:
        kept[values.untyped_storage().data_ptr()] = values
        return values

    with torch.autograd.graph.saved_tensors_hooks(keep, lambda values: values):
        network(batch)
    actual = sum(values.untyped_storage().nbytes() for place, values in kept.items() if place not in weights)
    assert activation_bytes(training, network) == pytest.approx(actual, rel=0.25)


@pytest.fixture
def without_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is refused is refused without the packages that train."""
    monkeypatch.setattr(FinetuneSettings, "check_extra", lambda _: None)


@pytest.mark.usefixtures("without_extra")
def test_an_encoder_without_a_network_is_refused(request_of: Request, tmp_path: Path) -> None:
    static = make_static(tmp_path / "static")
    with pytest.raises(ModelUnavailable, match="static model: it has one vector per token and no network to train"):
        run(request_of(options=Options(model=str(static))))
    bart = make_encoder(tmp_path / "bart", "bart")
    with pytest.raises(ModelUnavailable, match="encoder-decoder of the family 'bart'"):
        run(request_of(options=Options(model=str(bart))))


@pytest.mark.usefixtures("without_extra")
def test_wrong_calls_are_refused_before_training(request_of: Request) -> None:
    with pytest.raises(CallError, match="No label is called 'oill'"):
        run(request_of(settings=replace(FAST, class_weight={"oill": 2.0})))
    with pytest.raises(CallError, match="The loss emd needs ordinal labels"):
        run(request_of(settings=replace(FAST, loss="emd")))
    for loss in ("soft_f1", "sigmoid_f1"):
        with pytest.raises(CallError, match=f"The loss {loss} needs all documents of a batch at once"):
            run(request_of(settings=replace(FAST, loss=loss)))
    with pytest.raises(CallError, match="add it to --keep"):
        run(request_of(options=replace(request_of().options, keep=("cls",))))
    with pytest.raises(CallError, match="CUDA_VISIBLE_DEVICES"):
        run(request_of(options=replace(request_of().options, device="cuda:1")))
    with pytest.raises(CallError, match="An encoder cannot be called 'a/b'"):
        run(request_of(name="a/b"))


@pytest.mark.usefixtures("without_extra")
def test_what_the_store_has_of_each_layer_is_part_of_the_identity(request_of: Request) -> None:
    options = request_of().options
    folders = {
        prepare(request_of(options=replace(options, layers=layers)), lambda _: None).run_folder
        for layers in ("last", "all")
    }
    assert len(folders) == 2


SCRIPT = """
import json, sys
from pathlib import Path
sys.path.insert(0, {root!r})
from tests.stages.finetune.test_finetune import CORPUS, FAST, FinetuneRequest, Options, finetune, replace

request = FinetuneRequest(
    source=CORPUS,
    settings=replace(FAST, batch_size=15, dropout=0.0, sampler="square_root"),
    options=Options(model={model!r}, window=20, dtype="float32", device="cpu"),
    stores=Path("stores"), runs=Path("runs"), name="new",
)
result = finetune(request, notify=lambda _: None, on_training=lambda _: None, on_encoding=lambda _: None)
Path(sys.argv[1] + ".json").write_text(json.dumps(result and str(result.run.folder)))
"""


@pytest.mark.long
def test_two_processes_learn_what_one_would(tmp_path: Path) -> None:
    folder = make_encoder_without_dropout(tmp_path / "model")
    script = tmp_path / "train.py"
    script.write_text(SCRIPT.format(root=str(ROOT), model=str(folder)))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]

    def start(home: Path, rank: int, ranks: int) -> "subprocess.Popen[bytes]":
        home.mkdir(exist_ok=True)
        distributed = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": ranks, "MASTER_PORT": port}
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "EMBEDONCE_ENCODERS": str(home / "encoders")}
        if ranks > 1:
            environment |= {"MASTER_ADDR": "127.0.0.1", **{name: str(value) for name, value in distributed.items()}}
        return subprocess.Popen([sys.executable, str(script), f"rank-{rank}"], cwd=home, env=environment)

    processes = [start(tmp_path / "one", 0, 1), *(start(tmp_path / "two", rank, 2) for rank in range(2))]
    assert [process.wait(timeout=300) for process in processes] == [0, 0, 0]
    assert json.loads((tmp_path / "two" / "rank-1.json").read_text()) is None
    one, two = (
        runs.load(home / json.loads((home / "rank-0.json").read_text())).predictions().scores
        for home in (tmp_path / "one", tmp_path / "two")
    )
    np.testing.assert_allclose(two, one, atol=2e-3)
