"""Trainings: what they change, how they resume, and what happens if memory runs out. They need the extra `adapt`."""

import json
import os
import signal
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from data.errors import EmbedOnceError, StorageFailed
from featurestore import FeatureStore
from stages.adapt.adapt import Adaptation, AdaptProgress, train_encoders
from stages.adapt.cost import time_steps
from stages.adapt.masked_language_model import open_masked_language_model
from stages.adapt.objective import Objective, pad_windows
from stages.adapt.plan import AdaptPlan, AdaptRequest
from stages.adapt.sentence_objectives import EncoderInBands, load_sentence_encoder
from stages.adapt.training import Schedule, run_training
from stages.adapt.training_defaults import POSITIONS
from stages.adapt.windows import TrainingWindows
from stages.embed.encoder.encoder import Encoder, open_encoder
from stages.embed.encoder.options import Options
from stages.embed.model_files.checkpoint import read_config, weights_hash
from stages.embed.model_files.saved_encoders import find_saved_encoder, read_training
from tests.conftest import Run, write_csv
from tests.stages.adapt.conftest import Folders
from tests.stages.adapt.test_adaptation import TEST, TRAIN
from tests.stages.adapt.test_masked_language_model import add_own_head
from tests.tiny_encoder import make_encoder, make_sentence_transformers_folder

pytestmark = pytest.mark.long
pytest.importorskip("accelerate")


def ignore(_: object) -> None: ...


@pytest.fixture
def request_of(tmp_path: Path, folders: Folders, monkeypatch: pytest.MonkeyPatch) -> Callable[..., AdaptRequest]:
    monkeypatch.setenv("EMBEDONCE_ENCODERS", str(tmp_path / "encoders"))
    source = write_csv(tmp_path / "docs.csv", [*TRAIN, *TEST])

    def make(model: Path | None = None, **plan: Any) -> AdaptRequest:
        values: dict[str, Any] = {"method": "mlm", "device": "cpu", "steps": 6, "batch_size": 8, "lr": 1e-3} | plan
        return AdaptRequest(
            source=str(source),
            encoding=Options(model=str(model or folders("bert")), device="cpu"),
            name="new",
            plan=AdaptPlan(**values),
        )

    return make


def train(request: AdaptRequest, progress: Callable[[AdaptProgress], None] = ignore) -> Path:
    return train_encoders(Adaptation(request), notify=ignore, progress=progress)[-1].folder


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return dict(load_file(folder / "model.safetensors"))


@pytest.mark.parametrize("method", ["mlm", "tsdae", "simcse", "supervised"])
@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_an_adapted_encoder_is_one_that_embed_takes(
    request_of: Callable[..., AdaptRequest], folders: Folders, method: str, family: str
) -> None:
    original = open_encoder(Options(model=str(folders(family)), device="cpu"))
    folder = train(request_of(folders(family), method=method))
    adapted = open_encoder(Options(model="new", device="cpu"))
    assert find_saved_encoder("new") == folder
    assert adapted.recipe.weights != original.recipe.weights
    assert (adapted.recipe.config, adapted.recipe.tokenizer) == (original.recipe.config, original.recipe.tokenizer)
    assert adapted.training is not None
    assert adapted.training.steps[0].method == method
    assert adapted.training.base == str(folders(family))
    windows = adapted.tokenizer.tokenize(["report number 3 about oil"], adapted.windowing)
    assert torch.isfinite(torch.from_numpy(adapted.encode_batch(windows, windows.offsets[:1])["mean"])).all()
    assert not list(folder.parent.glob(".unfinished"))


@pytest.mark.parametrize(
    ("family", "method"),
    [
        ("distilbert", "mlm"),
        ("mpnet", "mlm"),
        ("modernbert", "mlm"),
        ("deberta-v2", "mlm"),
        ("longformer", "mlm"),
        ("electra", "tsdae"),
        ("xlm-roberta", "tsdae"),
        ("distilbert", "simcse"),
        ("modernbert", "supervised"),
        ("t5", "supervised"),
        ("longformer", "supervised"),
    ],
)
def test_other_families_are_adapted_too(
    request_of: Callable[..., AdaptRequest], folders: Folders, family: str, method: str
) -> None:
    original = open_encoder(Options(model=str(folders(family)), device="cpu"))
    train(request_of(folders(family), method=method, steps=2))
    adapted = open_encoder(Options(model="new", device="cpu"))
    assert adapted.recipe.weights != original.recipe.weights
    assert adapted.recipe.config == original.recipe.config


@pytest.mark.parametrize("method", ["mlm", "supervised"])
def test_lora_is_merged_into_the_weights(
    request_of: Callable[..., AdaptRequest], folders: Folders, method: str
) -> None:
    before, after = weights(folders("bert")), weights(train(request_of(method=method, train="lora", lr=1e-2)))
    assert {name for name in before if "pooler" not in name} <= after.keys() <= before.keys()
    changed = {name for name in after if not torch.equal(before[name], after[name])}
    assert changed
    assert all(name.endswith(("query.weight", "key.weight", "value.weight", "dense.weight")) for name in changed)


@pytest.mark.parametrize("method", ["mlm", "simcse"])
@pytest.mark.parametrize("learned", ["all", "lora"])
def test_an_own_head_is_kept_if_it_is_trained(
    tmp_path: Path, request_of: Callable[..., AdaptRequest], method: str, learned: str
) -> None:
    model = make_encoder(tmp_path / "model", "bert")
    add_own_head(model)
    folder = train(request_of(model, method=method, train=learned))
    assert open_masked_language_model(folder, "new").has_own_head == (method == "mlm")
    assert open_encoder(Options(model="new", device="cpu")).recipe.weights != weights_hash(model)


def test_embeddings_alone_are_trained_on_request(request_of: Callable[..., AdaptRequest], folders: Folders) -> None:
    before, after = weights(folders("bert")), weights(train(request_of(method="simcse", train="embeddings")))
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    assert changed == ["embeddings.word_embeddings.weight"]


def test_files_of_sentence_transformers_are_kept(tmp_path: Path, request_of: Callable[..., AdaptRequest]) -> None:
    model = make_encoder(tmp_path / "model", "bert")
    prompts = {"prompts": {"query": "query: "}, "default_prompt_name": "query"}
    make_sentence_transformers_folder(model, {"pooling_mode_cls_token": True}, prompts, 20)
    train(request_of(model, method="supervised"))
    original, adapted = (open_encoder(Options(model=name, device="cpu")) for name in (str(model), "new"))
    assert adapted.recipe.prefix == original.recipe.prefix == "query: "
    assert adapted.windowing == original.windowing
    assert adapted.training is not None
    assert adapted.training.steps[0].settings["pooling"] == "cls"


@pytest.mark.parametrize("method", ["mlm", "tsdae"])
def test_an_interrupted_training_resumes_and_ends_with_the_same_weights(
    request_of: Callable[..., AdaptRequest], monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    from stages.adapt import trainer

    monkeypatch.setattr(trainer, "REPORT_SECONDS", 0.0)
    request = request_of(method=method)
    whole = weights(train(replace(request, name="whole")))

    def interrupt(now: AdaptProgress) -> None:
        if now.now.step == 3 and not now.now.interrupted:
            os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        train(request, interrupt)
    assert find_saved_encoder("new") is None
    steps: list[int] = []
    resumed = weights(train(request, lambda now: steps.append(now.now.step)))
    assert steps == [4, 5, 6]
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)


def test_the_same_command_finds_the_encoder_that_it_made(request_of: Callable[..., AdaptRequest]) -> None:
    folder = train(request_of())
    written = (folder / "model.safetensors").stat().st_mtime_ns
    assert train(request_of()) == folder
    assert (folder / "model.safetensors").stat().st_mtime_ns == written
    with pytest.raises(EmbedOnceError, match="exists already"):
        Adaptation(request_of(seed=1))


class Limited(torch.nn.Module):
    """A network in whose memory `room` windows fit."""

    def __init__(self, room: int) -> None:
        super().__init__()
        self.weight = torch.nn.Parameter(torch.ones(2))
        self.room, self.sizes = room, list[int]()

    def forward(self, windows: torch.Tensor) -> dict[str, torch.Tensor]:
        if len(windows) > self.room:
            raise RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory")
        self.sizes.append(len(windows))
        return {"loss": (windows.float().mean() * self.weight).sum()}


def limited_objective(network: Limited) -> Objective:
    return Objective(network, network, network, lambda numbers, _: {"windows": torch.tensor(numbers)})


def run_limited(folder: Path, network: Limited, lr: float = 0.1) -> Any:
    schedule = Schedule([np.arange(8)] * 3, lr, 0, "cpu", "all", positions=8)
    return run_training(limited_objective(network), schedule, folder, ignore)


def test_batches_are_halved_until_they_fit(tmp_path: Path) -> None:
    whole, limited = Limited(8), Limited(2)
    assert run_limited(tmp_path / "whole", whole).halvings == 0
    assert run_limited(tmp_path / "limited", limited).halvings == 2
    assert limited.sizes == [2] * 12
    torch.testing.assert_close(limited.weight, whole.weight)


def test_a_batch_with_too_many_logits_is_divided_from_the_start(tmp_path: Path) -> None:
    whole, limited = Limited(8), Limited(8)
    run_limited(tmp_path / "whole", whole)
    schedule = Schedule([np.arange(8)] * 3, 0.1, 0, "cpu", "all", positions=8 * 512)
    for tokens, size in ((30_522, 8), (250_000, 2), (10**9, 2)):  # a contrastive loss needs two windows
        limited = Limited(8)
        objective = replace(limited_objective(limited), logits_per_position=tokens)
        report = run_training(objective, schedule, tmp_path / str(tokens), ignore)
        assert (limited.sizes, report.halvings) == ([size] * (24 // size), 0)
        torch.testing.assert_close(limited.weight, whole.weight)


@pytest.mark.parametrize(("method", "share"), [("mlm", 0.15), ("tsdae", 1.0), ("simcse", None), ("supervised", None)])
def test_losses_of_tokens_can_be_divided(
    request_of: Callable[..., AdaptRequest], folders: Folders, method: str, share: float | None
) -> None:
    adaptation = Adaptation(request_of(method=method))
    training = adaptation.trainings[0]
    objective, schedule = adaptation.objective(training), adaptation.schedule(training)
    tokens = read_config(folders("bert")).vocab_size
    assert objective.logits_per_position == (None if share is None else share * tokens)
    longest = max(
        pad["input_ids"].shape[1]
        for pad in batches_of(objective.collate(schedule.batches[0].tolist(), np.random.default_rng(0)))
    )
    assert schedule.positions >= len(schedule.batches[0]) * longest


def batches_of(collated: dict[str, Any]) -> list[dict[str, torch.Tensor]]:
    features = collated.get("features", collated)
    return features if isinstance(features, list) else [features]


@pytest.mark.parametrize("family", ["bert", "roberta", "t5", "longformer"])
def test_vectors_of_a_batch_are_computed_almost_without_padding(
    tiny: Callable[[str], Encoder], folders: Folders, monkeypatch: pytest.MonkeyPatch, family: str
) -> None:
    monkeypatch.setitem(POSITIONS, "cpu", 64)
    encoder = tiny(family)
    texts = ["one two", " ".join(["goal"] * 30), "three", " ".join(["oil"] * 25), "a b c d", "two words"]
    windows = TrainingWindows.of(texts, encoder, least_words=1)
    batch = pad_windows([windows.tokens(number)[0] for number in range(len(windows))], windows)
    model = load_sentence_encoder(folders(family), "mean", 64).eval()
    read: list[int] = []
    model.transformers_model.get_input_embeddings().register_forward_hook(
        lambda _module, inputs, _output: read.append(inputs[0].numel())
    )
    with torch.no_grad():
        vectors = EncoderInBands(model)(batch)["sentence_embedding"]
        assert sum(read) < 1.2 * batch["attention_mask"].sum() < 0.8 * batch["input_ids"].numel()
        expected = model(dict(batch))["sentence_embedding"]
    torch.testing.assert_close(vectors, expected, rtol=1e-4, atol=1e-5)


class RunsOut(Limited):
    """A network into whose memory only half a batch fits from its third step on."""

    def forward(self, windows: torch.Tensor) -> dict[str, torch.Tensor]:
        self.room = 4 if len(self.sizes) == 2 else self.room
        return super().forward(windows)


def test_steps_before_memory_runs_out_are_not_done_twice(tmp_path: Path) -> None:
    whole, limited = Limited(8), RunsOut(8)
    run_limited(tmp_path / "whole", whole)
    assert run_limited(tmp_path / "limited", limited).halvings == 1
    assert limited.sizes == [8, 8, *[4] * 6]
    torch.testing.assert_close(limited.weight, whole.weight)


def test_a_dry_run_divides_its_batches_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stages.adapt.cost.TRIAL_STEPS", 2)
    schedule, limited = Schedule([np.arange(8)] * 3, 0.1, 0, "cpu", "all", positions=8), Limited(4)
    assert time_steps(limited_objective(limited), schedule, "cpu") > 0
    assert limited.sizes == [4] * 4
    with pytest.raises(EmbedOnceError, match="Two windows do not fit into the memory of cpu"):
        time_steps(limited_objective(Limited(1)), schedule, "cpu")


def test_the_memory_of_each_step_on_a_cpu_is_returned(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from stages.adapt import trainer

    returned: list[None] = []
    monkeypatch.setattr(trainer, "return_freed_memory", lambda: returned.append(None))
    run_limited(tmp_path, Limited(8))
    assert len(returned) == 3


@pytest.mark.parametrize(
    "error", [OSError(28, "No space left on device"), RuntimeError("PytorchStreamWriter failed writing file data/0")]
)
def test_a_checkpoint_that_cannot_be_written_is_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
) -> None:
    from stages.adapt import trainer

    def fail(*_: Any) -> None:
        raise error

    monkeypatch.setattr(trainer, "CHECKPOINT_SECONDS", 0.0)
    monkeypatch.setattr("safetensors.torch.save_model", fail)
    with pytest.raises(StorageFailed, match=r"A checkpoint cannot be written to .* Make room"):
        run_limited(tmp_path, Limited(8))


def test_two_windows_that_do_not_fit_are_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(EmbedOnceError, match="Two windows do not fit into the memory of cpu"):
        run_limited(tmp_path, Limited(1))


def test_a_loss_that_is_not_finite_is_one_sentence(tmp_path: Path) -> None:
    network = Limited(8)
    network.weight.data.fill_(float("nan"))
    with pytest.raises(EmbedOnceError, match="The loss is not finite after step"):
        run_limited(tmp_path, network)


def test_the_command_trains_every_fold_and_gives_a_verdict(
    embedonce: Run, tmp_path: Path, folders: Folders, monkeypatch: pytest.MonkeyPatch
) -> None:
    from stages.adapt import verdict

    monkeypatch.setattr(verdict, "HEADS", ("linear",))
    write_csv(tmp_path / "docs.csv", [*TRAIN, *TEST])
    command = ("adapt", "docs.csv", "--method", "supervised", "--name", "new", "--model", folders("bert"), "--steps", 3)
    result = embedonce(*command, "--cross-fit", 2, "--device", "cpu", "--json")
    assert result.code == 0, result.err
    assert "Cost: 3 trainings (9 steps of" in result.err
    assert [each["name"] for each in json.loads(result.out)["encoders"]] == ["new.fold1", "new.fold2", "new"]
    record = read_training(Path("encoders/new"))
    assert record is not None
    assert record.fold_encoders == {name: weights_hash(Path("encoders") / name) for name in ("new.fold1", "new.fold2")}
    stores = [FeatureStore.open(path) for path in sorted(Path("stores").iterdir())]
    assert len(stores) == 4
    saved = {each["name"]: each["verdict"] for each in json.loads(embedonce("encoders", "--json").out)["made_here"]}
    assert saved["new"] == json.loads(result.out)["verdict"]
    assert saved["new"]["documents"] == len(TRAIN)
    fitted = embedonce("fit-head", "linear", "--store", next(s.folder for s in stores if "--new-" in s.name), "--json")
    assert fitted.code == 0, fitted.err


def test_a_dry_run_writes_nothing(embedonce: Run, tmp_path: Path, folders: Folders) -> None:
    write_csv(tmp_path / "docs.csv", [*TRAIN, *TEST])
    command = ("adapt", "docs.csv", "--method", "mlm", "--name", "new", "--model", folders("bert"), "--dry-run")
    result = embedonce(*command, "--device", "cpu", "--json")
    assert result.code == 0, result.err
    estimate = json.loads(result.out)
    assert estimate["cost"]["trainings"] == 1
    assert estimate["training_seconds"] > 0
    assert estimate["memory"] > 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["docs.csv"]


def test_the_configuration_is_that_of_the_original(request_of: Callable[..., AdaptRequest], folders: Folders) -> None:
    folder = train(request_of())
    assert read_config(folder).hash == read_config(folders("bert")).hash
