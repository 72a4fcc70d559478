"""Words replaced by a masked language model."""

from dataclasses import replace
from pathlib import Path
from random import Random

import numpy as np
import pytest
import torch

from data.errors import ModelUnavailable
from featurestore import TRAINING_FILE, EncoderTraining, TrainingStep
from stages.augment.masked_words import MaskedWords, open_masked_words
from stages.augment.words import Request
from stages.embed.batching.budget import TokenBudget
from stages.embed.windows.windowing import Windowing
from tests.stages.adapt.test_masked_language_model import add_own_head
from tests.tiny_encoder import SENTENCES, make_encoder

TEXTS = [*SENTENCES[:4], " ".join(SENTENCES[:4] * 4), "123 456", ""]


@pytest.fixture(scope="module")
def method(tmp_path_factory: pytest.TempPathFactory) -> MaskedWords:
    folder = make_encoder(tmp_path_factory.mktemp("encoder"), positions=32)
    add_own_head(folder)
    return open_masked_words(TEXTS, folder, "tiny", 0.3)


def texts_of(method: MaskedWords, seed: int = 0) -> list[str | None]:
    drafts = method.drafts([Request(row, Random(f"{seed} {row}")) for row in range(len(TEXTS))])
    return [draft and draft.text for draft in drafts]


def test_some_words_become_other_words_and_everything_else_stays(method: MaskedWords) -> None:
    for text, changed in zip(TEXTS[:5], texts_of(method), strict=False):
        assert changed is not None
        before, after = text.split(), changed.split()
        replaced = [(one, other) for one, other in zip(before, after, strict=True) if one != other]
        assert 0 < len(replaced) <= 0.3 * len(before) + 1
        assert all(other.strip(".,;").isalpha() and other[-1] in (one[-1], other[-1]) for one, other in replaced)


def test_the_windows_of_a_long_document_are_all_read(method: MaskedWords) -> None:
    changed = (texts_of(method)[4] or "").split()
    places = [at for at, (one, other) in enumerate(zip(TEXTS[4].split(), changed, strict=True)) if one != other]
    assert min(places) < len(changed) // 4 and max(places) > 3 * len(changed) // 4


def test_a_text_without_a_whole_word_is_left_alone(method: MaskedWords) -> None:
    assert texts_of(method)[5:] == [None, None]


def test_the_same_seed_gives_the_same_text_whatever_the_batches(method: MaskedWords) -> None:
    small = replace(method, budget=TokenBudget(1))
    assert texts_of(method) == texts_of(small) == texts_of(method)
    assert texts_of(method, seed=1) != texts_of(method)


def test_batches_are_halved_if_memory_runs_out(method: MaskedWords, monkeypatch: pytest.MonkeyPatch) -> None:
    small, logits = replace(method, budget=TokenBudget(4096)), method.model.logits

    def with_little_memory(ids: torch.Tensor, *others: torch.Tensor) -> torch.Tensor:
        if len(ids) > 2:
            raise torch.OutOfMemoryError("out of memory")
        return logits(ids, *others)

    expected = texts_of(method)
    monkeypatch.setattr(method.model, "logits", with_little_memory)
    assert texts_of(small) == expected and small.budget.halvings > 0


def test_predictions_are_those_of_the_network_at_the_masks(method: MaskedWords) -> None:
    tokenizer, model = method.tokenizer, method.model
    windows = tokenizer.tokenize(TEXTS[:5], Windowing(method.window))
    masked = np.arange(1, len(windows.ids), 5)
    best, logits = method._predict(windows.ids, windows.start, windows.length, masked)
    hidden = windows.ids.astype(np.int64)
    hidden[masked] = model.mask_id
    for token, ids, values in zip(masked, best, logits, strict=True):
        (window,) = np.flatnonzero((windows.start <= token) & (token < windows.start + windows.length))
        start, stop = windows.start[window], windows.start[window] + windows.length[window]
        row = torch.tensor([[*tokenizer.opening, *hidden[start:stop], *tokenizer.closing]])
        with torch.inference_mode():
            expected = model.network(input_ids=row).logits[0, len(tokenizer.opening) + int(token - start)]
        assert ids[0] == int(expected.argmax())
        np.testing.assert_allclose(values, expected[torch.from_numpy(ids)].numpy(), atol=1e-4)


def test_an_encoder_without_a_head_is_refused_unless_its_embeddings_were_trained_as_one(tmp_path: Path) -> None:
    folder = make_encoder(tmp_path)
    with pytest.raises(ModelUnavailable, match=r"tiny has no head for masked tokens, .* predict nonsense. Name an enc"):
        open_masked_words(TEXTS, folder, "tiny", 0.3)
    step = TrainingStep(method="mlm", corpus="c", uses_labels=False, includes_test=False, keys=frozenset())
    (folder / TRAINING_FILE).write_bytes(EncoderTraining(base="tiny", steps=(step,)).to_bytes())
    assert not open_masked_words(TEXTS, folder, "tiny", 0.3).model.has_own_head
