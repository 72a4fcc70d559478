"""The network that is fine-tuned: it is the factors that are kept, however its batches are divided."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.errors import CallError, EmbedOnceError
from featurestore import Shard, shard_bytes
from heads.classifiers.finetuned import FinetunedHead
from stages.embed.encoder.encoder import Encoder, open_encoder
from stages.embed.encoder.options import Options
from stages.embed.network.torch_network import TorchNetwork
from stages.embed.windows.window_arrays import Windows
from stages.finetune.batches import MicroBatches
from stages.finetune.classifier import EncoderClassifier
from stages.finetune.settings import FinetuneSettings
from tests.encoding import encode
from tests.tiny_encoder import SENTENCES, make_encoder

# documents of one to four windows
TEXTS = [" ".join(SENTENCES[:count]) for count in (1, 2, 3, 4)] + ["oil"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("tiny") / "bert")


def opened(folder: Path, **options: Any) -> Encoder:
    values = {"window": 20, "keep": ("cls", "mean"), "dtype": "float32", "backend": "torch", "precision": "float32"}
    return open_encoder(Options(model=str(folder), **{**values, **options}))


def classifier(folder: Path, encoder: Encoder, **settings: Any) -> EncoderClassifier:
    torch.manual_seed(0)
    network = TorchNetwork(folder, (-1,), "float32", "cpu", onednn=False)
    return EncoderClassifier(network, encoder, 3, FinetuneSettings(**settings)).eval()


def tokenized(encoder: Encoder) -> Windows:
    return encoder.tokenizer.tokenize(TEXTS, encoder.windowing)


def logits(network: EncoderClassifier, encoder: Encoder, limit: int) -> np.ndarray[Any, Any]:
    scores = np.empty((len(TEXTS), 3), np.float32)
    with torch.inference_mode():
        for rows, batch in MicroBatches(tokenized(encoder), encoder, limit).split(np.arange(len(TEXTS))):
            scores[rows] = network(batch).numpy()
    return scores


@pytest.mark.parametrize("family", ["bert", "roberta", "gpt2", "longformer"])
@pytest.mark.parametrize(("vector", "pooling"), [("mean", "mean"), ("cls", "max")])
def test_scores_from_the_store_are_those_of_the_network(
    tmp_path: Path, folder: Path, family: str, vector: str, pooling: str
) -> None:
    folder = folder if family == "bert" else make_encoder(tmp_path / family, family)
    encoder = opened(folder)
    network = classifier(folder, encoder, vector=vector, pooling=pooling)
    weight, bias = (values.detach().numpy() for values in (network.layer.weight, network.layer.bias))
    labels = np.array(["a", "b", "c"], dtype=object)
    head = FinetunedHead(vector=vector, pooling=pooling)  # type: ignore[arg-type]
    head.set_layer(labels, weight, bias, parameters=1)
    shard = Shard.of_bytes(shard_bytes(encode(TEXTS, encoder), encoder.recipe), encoder.recipe)
    assert max(shard.bags().view("mean").length) > 2
    np.testing.assert_allclose(head.decision_function(shard.bags()), logits(network, encoder, 4096), atol=1e-4, rtol=0)


def test_parts_and_bands_change_neither_logits_nor_gradients(folder: Path) -> None:
    encoder = opened(folder)
    network = classifier(folder, encoder, dropout=0.0)
    results = []
    for limit in (4096, 64, 1):
        network.zero_grad()
        for rows, batch in MicroBatches(tokenized(encoder), encoder, limit).split(np.arange(len(TEXTS))):
            (network(batch) * torch.from_numpy(rows + 1.0)[:, None]).sum().backward()
        gradient = torch.cat([each.grad.flatten() for each in network.parameters() if each.grad is not None])
        results.append((logits(network, encoder, limit), gradient.numpy()))
    for scores, slopes in results[1:]:
        np.testing.assert_allclose(scores, results[0][0], atol=1e-5)
        np.testing.assert_allclose(slopes, results[0][1], atol=2e-3)


def test_parts_have_at_most_the_limit_or_one_document_and_together_every_document(folder: Path) -> None:
    encoder = opened(folder)
    windows = tokenized(encoder)
    positions = windows.tokens_to_encode + 2 * np.diff(windows.offsets)
    parts = [rows for rows, _ in MicroBatches(windows, encoder, 60).split(np.arange(len(TEXTS)))]
    assert sorted(np.concatenate(parts).tolist()) == list(range(len(TEXTS)))
    assert all(positions[rows].sum() <= 60 or len(rows) == 1 for rows in parts)
    assert len(parts) > 2


def test_parts_are_halved_until_one_document_is_too_large(folder: Path) -> None:
    encoder = opened(folder)
    batches = MicroBatches(tokenized(encoder), encoder, 4096)
    rows = np.array([2, 3])
    batches.halve(rows)
    assert len(list(batches.split(rows))) == 2
    with pytest.raises(EmbedOnceError, match="Memory runs out for a single document of 3 windows"):
        for _ in range(10):
            batches.halve(rows)


def trained_names(network: EncoderClassifier) -> set[str]:
    return {name for name, weight in network.named_parameters() if weight.requires_grad}


def test_the_last_layers_are_trained_alone(folder: Path) -> None:
    names = trained_names(classifier(folder, opened(folder), train="last:1"))
    assert {name.partition(".layer.1.")[1] for name in names} == {"", ".layer.1."}
    assert {name for name in names if ".layer.1." not in name} == {"layer.weight", "layer.bias"}
    with pytest.raises(CallError, match="the encoder has 2 layers"):
        classifier(folder, opened(folder), train="last:3")


@pytest.mark.parametrize(
    ("family", "names"),
    [
        ("modernbert", {"final_norm.weight"}),
        ("qwen3", {"norm.weight"}),
        ("mpnet", set()),
        ("roberta-prelayernorm", {"LayerNorm.weight", "LayerNorm.bias"}),
    ],
)
def test_the_norm_after_the_last_layer_is_trained_with_it(tmp_path: Path, family: str, names: set[str]) -> None:
    folder = make_encoder(tmp_path / family, family)
    encoder = opened(folder)
    network = classifier(folder, encoder, train="last:1")
    of_encoder = {name.removeprefix("encoder.") for name in trained_names(network) if name.startswith("encoder.")}
    assert {name for name in of_encoder if not re.search(r"layers?\.1\.", name)} == names
    for rows, batch in MicroBatches(tokenized(encoder), encoder, 4096).split(np.arange(len(TEXTS))):
        (network(batch) * torch.from_numpy(rows + 1.0)[:, None]).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters() if weight.requires_grad)


@pytest.mark.parametrize("family", ["xlm", "flaubert"])
def test_a_layer_whose_parts_are_in_several_lists_is_trained_as_a_whole(tmp_path: Path, family: str) -> None:
    folder = make_encoder(tmp_path / family, family)
    names = trained_names(classifier(folder, opened(folder), train="last:1")) - {"layer.weight", "layer.bias"}
    parts = {name.removeprefix("encoder.").partition(".1.")[0] for name in names if ".1." in name}
    assert parts == {"attentions", "layer_norm1", "ffns", "layer_norm2"} and all(".1." in name for name in names)


def test_layers_that_share_their_weights_are_not_trained_apart(tmp_path: Path) -> None:
    folder = make_encoder(tmp_path / "albert", "albert")
    with pytest.raises(CallError, match="share their weights"):
        classifier(folder, opened(folder), train="last:1")
