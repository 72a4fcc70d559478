"""Masked language models: their own head or a tied one, logits only where they are needed, and what is refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from data.errors import ModelUnavailable
from stages.adapt.masked_language_model import (
    IGNORED,
    check_masked_language_model,
    head_note,
    open_masked_language_model,
)
from tests.tiny_encoder import make_encoder

IDS = torch.tensor([[0, 7, 4, 9, 2, 1], [0, 8, 9, 4, 4, 2]])  # 4 is the mask, 1 is padding
ATTENTION = (IDS != 1).long()
LABELS = torch.where(IDS == 4, torch.tensor(5), IGNORED)


def add_own_head(folder: Path) -> Any:
    """Save the encoder of `folder` again, with a random head for masked tokens; return the network."""
    from transformers import AutoConfig, AutoModelForMaskedLM

    torch.manual_seed(1)
    network = AutoModelForMaskedLM.from_config(AutoConfig.from_pretrained(folder)).eval()
    network.save_pretrained(folder)
    return network


@pytest.mark.parametrize("family", ["bert", "xlm-roberta", "distilbert", "mpnet", "deberta-v2", "modernbert"])
def test_an_own_head_gives_the_logits_of_the_whole_network_at_the_chosen_positions(tmp_path: Path, family: str) -> None:
    network = add_own_head(make_encoder(tmp_path, family))
    model = open_masked_language_model(tmp_path, "tiny")
    with torch.inference_mode():
        expected = network(input_ids=IDS, attention_mask=ATTENTION).logits[IDS == 4]
        logits = model.logits(IDS, ATTENTION, IDS == 4)
    assert model.has_own_head
    assert head_note(model, "tiny") is None
    assert torch.allclose(logits, expected, atol=1e-5)


@pytest.mark.parametrize("family", ["bert", "roberta", "modernbert"])
def test_a_tied_head_multiplies_hidden_states_by_the_input_embeddings(tmp_path: Path, family: str) -> None:
    from transformers import AutoModel

    encoder = AutoModel.from_pretrained(make_encoder(tmp_path, family)).eval()
    model = open_masked_language_model(tmp_path, "tiny")
    with torch.no_grad():
        states = encoder(input_ids=IDS, attention_mask=ATTENTION).last_hidden_state[IDS == 4]
        logits = model.logits(IDS, ATTENTION, IDS == 4)
    assert head_note(model, "tiny") == (
        "tiny has no head for masked tokens: its input embeddings serve as one (a tied head)"
    )
    assert torch.allclose(logits, states @ encoder.get_input_embeddings().weight.T, atol=1e-5)


@pytest.mark.parametrize("own_head", [True, False])
def test_the_loss_is_the_mean_cross_entropy_at_the_labeled_positions(tmp_path: Path, own_head: bool) -> None:
    make_encoder(tmp_path)
    if own_head:
        add_own_head(tmp_path)
    model = open_masked_language_model(tmp_path, "tiny").requires_grad_(True)
    output = model(IDS, ATTENTION, LABELS)
    expected = -output["logits"].log_softmax(-1)[:, 5].mean()
    output["loss"].backward()
    assert torch.isclose(output["loss"], expected)
    assert model.encoder.get_input_embeddings().weight.grad is not None


def test_a_batch_without_labels_has_a_loss_of_zero(tmp_path: Path) -> None:
    model = open_masked_language_model(make_encoder(tmp_path), "tiny")
    assert model(IDS, ATTENTION, torch.full_like(IDS, IGNORED))["loss"] == 0


def test_the_mask_token_is_found_by_its_name(tmp_path: Path) -> None:
    assert check_masked_language_model(make_encoder(tmp_path), "tiny") == 4


def test_a_decoder_and_an_encoder_decoder_are_refused(tmp_path: Path) -> None:
    for family, kind in (("gpt2", "a decoder"), ("bart", "an encoder-decoder"), ("t5", "an encoder-decoder")):
        folder = make_encoder(tmp_path / family, family)
        with pytest.raises(ModelUnavailable, match=rf"tiny is {kind} \({family}\), not a masked language model"):
            check_masked_language_model(folder, "tiny")


def test_a_static_model_is_refused(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_file({"embeddings": torch.zeros(9, 4)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelUnavailable, match="tiny is a static model"):
        check_masked_language_model(tmp_path, "tiny")


def test_a_tokenizer_without_a_mask_token_is_refused(tmp_path: Path) -> None:
    make_encoder(tmp_path)
    config = json.loads((tmp_path / "tokenizer_config.json").read_text())
    (tmp_path / "tokenizer_config.json").write_text(json.dumps(config | {"mask_token": None}))
    with pytest.raises(ModelUnavailable, match="its tokenizer has no mask token"):
        check_masked_language_model(tmp_path, "tiny")


def test_embeddings_of_another_size_than_the_hidden_states_are_no_head(tmp_path: Path) -> None:
    with pytest.raises(ModelUnavailable, match="they have 8 dimensions, and its hidden states 16"):
        open_masked_language_model(make_encoder(tmp_path, "electra"), "tiny")
