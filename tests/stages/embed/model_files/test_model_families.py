"""Every family of networks: the vectors of transformers for every batch, and the facts in its config."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import CallError
from stages.embed.model_files.checkpoint import Config
from tests.encoding import encode
from tests.stages.embed.conftest import Folders, Open
from tests.stages.embed.reference import EVERYTHING, TEXTS, forward_arguments, reference_network, reference_states
from tests.tiny_encoder import SENTENCES

BIDIRECTIONAL = (
    *("bert", "roberta", "xlm-roberta", "distilbert", "mpnet", "electra", "deberta-v2", "longformer", "big_bird"),
    *("modernbert", "t5", "mt5", "umt5", "m2m_100", "bart", "mbart", "pegasus", "albert", "deberta"),
    # these mix tokens with padding despite the attention mask
    *("fnet", "convbert", "nystromformer"),
)
CAUSAL = ("gpt2", "qwen2", "qwen3", "llama")
FAMILIES = BIDIRECTIONAL + CAUSAL
# tolerance for rounding; the tiny convbert differs by 2e-4 from itself in float64, with transformers alone, too
TOLERANCE = {"convbert": 1e-3}


@pytest.mark.parametrize("family", FAMILIES)
def test_vectors_are_those_of_transformers_for_every_batch(folders: Folders, tiny: Open, family: str) -> None:
    encoder = tiny(family, window=20, stride=3, batch_tokens=1, **EVERYTHING)
    expected = list(reference_states(folders(family), TEXTS, encoder))
    for batch_tokens in (1, 150, 4096):
        encoder = tiny(family, window=20, stride=3, batch_tokens=batch_tokens, **EVERYTHING)
        cls, first = -1 if family in CAUSAL else 0, len(encoder.opening)
        _compare(encode(TEXTS, encoder).arrays, expected, cls, first, TOLERANCE.get(family, 1e-4))


def _compare(arrays: Any, expected: list[Any], cls: int, first: int, tolerance: float) -> None:
    chunk, segment, token = 0, 0, 0
    for states, own in expected:
        for name, vector in (("cls", states[cls]), ("mean", states.mean(0)), ("max", states.max(0))):
            np.testing.assert_allclose(arrays[f"chunks/{name}"][chunk], vector, atol=tolerance)
        tokens = states[first : first + own]
        np.testing.assert_allclose(arrays["tokens/vector"][token : token + own], tokens, atol=tolerance)
        for segment_tokens in [tokens[start : start + 5] for start in range(0, own, 5)] or [states]:
            np.testing.assert_allclose(arrays["segments/vector"][segment], segment_tokens.mean(0), atol=tolerance)
            segment += 1
        chunk, token = chunk + 1, token + own
    assert (chunk, segment, token) == tuple(
        len(arrays[name]) for name in ("chunks/mean", "segments/vector", "tokens/id")
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_intermediate_layers_are_those_of_transformers(folders: Folders, tiny: Open, family: str) -> None:
    import torch

    encoder = tiny(family, layers="all", keep=("tokens",), window=20)
    texts = [SENTENCES[0][:30], SENTENCES[1]]
    content = encode(texts, encoder)
    network, token, first = reference_network(folders(family)), 0, len(encoder.opening)
    windows = encoder.tokenizer.tokenize(texts, encoder.windowing)
    for start, own in zip(windows.start.tolist(), windows.length.tolist(), strict=True):
        ids = torch.tensor([[*encoder.opening, *windows.ids[start : start + own].tolist(), *encoder.closing]])
        with torch.inference_mode():
            settings = forward_arguments(network, ids)
            states = network(ids, output_hidden_states=True, **settings).hidden_states
        for layer, state in enumerate(states):
            ours = content.arrays["tokens/vector"][token : token + own, layer]
            np.testing.assert_allclose(ours, state[0, first : first + own].numpy(), rtol=1e-5, atol=1e-5)
        token += own
    assert len(states) == len(encoder.recipe.layers) == 3


LONGEST = dict.fromkeys(BIDIRECTIONAL, 62) | {"gpt2": 64, "qwen2": 63, "qwen3": 63, "llama": 63, "pegasus": 63}


@pytest.mark.parametrize("family", sorted(set(FAMILIES) - {"t5", "mt5", "umt5"}))
def test_the_longest_window_fills_the_positions_exactly(tiny: Open, family: str) -> None:
    longest = LONGEST[family]
    assert tiny(family).recipe.window == longest
    content = encode([" ".join(SENTENCES)], tiny(family, window=longest))
    assert np.isfinite(content.arrays["chunks/mean"]).all()
    with pytest.raises(CallError, match=rf"64 positions.* the longest window is {longest}\."):
        tiny(family, window=longest + 1)


@pytest.mark.parametrize("family", ["t5", "mt5", "umt5"])
def test_unlimited_positions_allow_any_window(tiny: Open, family: str) -> None:
    assert tiny(family).recipe.window == 254
    content = encode([" ".join(SENTENCES * 3)], tiny(family, window=600))
    assert len(content.arrays["chunks/mean"]) == 1


def config(**values: Any) -> Config:
    return Config(Path("model"), {"vocab_size": 100} | values)


@pytest.mark.parametrize(
    ("values", "causal"),
    [
        ({"model_type": "qwen3"}, True),
        ({"model_type": "qwen2", "is_causal": False}, False),
        ({"model_type": "gemma3_text", "use_bidirectional_attention": True}, False),
        ({"model_type": "bert", "is_decoder": True}, True),
        ({"model_type": "bert", "is_decoder": False}, False),
        ({"model_type": "t5"}, False),
    ],
)
def test_a_decoder_trained_to_attend_in_both_directions_is_not_causal(values: dict[str, Any], causal: bool) -> None:
    assert config(**values).is_causal is causal


@pytest.mark.parametrize(
    ("values", "sizes"),
    [
        ({"model_type": "gpt2", "n_embd": 8, "n_layer": 3, "n_positions": 32}, (8, 3, 32)),
        ({"model_type": "t5", "d_model": 8, "num_layers": 3, "n_positions": 512}, (8, 3, None)),
        ({"model_type": "m2m_100", "d_model": 8, "encoder_layers": 3, "max_position_embeddings": 32}, (8, 3, 32)),
        (
            {"model_type": "longformer", "hidden_size": 8, "num_hidden_layers": 3, "max_position_embeddings": 4098},
            (8, 3, 4096),
        ),
    ],
)
def test_sizes_are_found_under_the_names_of_every_family(
    values: dict[str, Any], sizes: tuple[int, int, int | None]
) -> None:
    known = config(**values)
    assert (known.dim, known.layers, known.max_positions) == sizes
