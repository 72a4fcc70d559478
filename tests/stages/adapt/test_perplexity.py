"""Pseudo-perplexity: equal to masking token by token, unbiased with fewer masks, and calm when memory runs out."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from data.documents import Document
from data.errors import BadData, CallError, EmbedOnceError
from data.source_spec import SourceSpec
from stages.adapt.masked_copies import PredictionProgress
from stages.adapt.masked_language_model import MaskedLanguageModel
from stages.adapt.perplexity import PerplexityPlan, pseudo_perplexity, read_documents
from tests.tiny_encoder import SENTENCES, make_encoder

DOCUMENTS = [Document(f"d{row}", " ".join(SENTENCES[: row + 1])) for row in range(4)] + [Document("blank", " \n")]
EXACT = PerplexityPlan(documents=None, masked_tokens=None, window=20, device="cpu", precision="float32")


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_encoder(tmp_path_factory.mktemp("encoders") / "tiny")


def log_probability_token_by_token(folder: Path, text: str, window: int) -> tuple[float, int]:
    """The sum over the tokens of a text with transformers alone, one network call per token; and their number."""
    from transformers import AutoModel, AutoTokenizer

    tokenizer, encoder = AutoTokenizer.from_pretrained(folder), AutoModel.from_pretrained(folder).eval()
    own = tokenizer(text, add_special_tokens=False, truncation=False, padding=False)["input_ids"]
    total = 0.0
    for start in range(0, len(own), window):
        ids = [tokenizer.cls_token_id, *own[start : start + window], tokenizer.sep_token_id]
        for place in range(1, len(ids) - 1):
            masked = torch.tensor([[*ids[:place], tokenizer.mask_token_id, *ids[place + 1 :]]])
            with torch.no_grad():
                state = encoder(input_ids=masked).last_hidden_state[0, place]
                logits = encoder.get_input_embeddings().weight @ state
            total += float(logits.log_softmax(0)[ids[place]])
    return total, len(own)


def test_every_document_equals_a_reference_that_masks_token_by_token(tiny: Path) -> None:
    result = pseudo_perplexity(tiny, DOCUMENTS, EXACT)
    expected = [log_probability_token_by_token(tiny, document.text, 20) for document in DOCUMENTS[:4]]
    sums, tokens = map(np.array, zip(*expected, strict=True))
    assert result.tokens.tolist() == result.masked.tolist() == tokens.tolist()
    assert result.log_probability == pytest.approx(sums, rel=1e-5)
    assert result.value == pytest.approx(np.exp(-sums.sum() / tokens.sum()), rel=1e-4)
    assert result.per_document == pytest.approx(np.exp(-sums / tokens), rel=1e-4)


def test_small_batches_give_the_same_values(tiny: Path) -> None:
    small = PerplexityPlan(documents=None, masked_tokens=None, window=20, device="cpu", batch_tokens=1)
    expected = pseudo_perplexity(tiny, DOCUMENTS, EXACT).log_probability
    assert pseudo_perplexity(tiny, DOCUMENTS, small).log_probability == pytest.approx(expected, rel=1e-5)


def test_a_sum_over_a_few_masked_tokens_is_an_unbiased_estimate(tiny: Path) -> None:
    document = DOCUMENTS[:1]
    exact = pseudo_perplexity(tiny, document, EXACT).log_probability[0]
    estimates = []
    for seed in range(15):
        plan = PerplexityPlan(masked_tokens=6, window=20, seed=seed, device="cpu", precision="float32")
        result = pseudo_perplexity(tiny, document, plan)
        assert result.masked.tolist() == [6]
        estimates.append(result.log_probability[0])
    error = np.std(estimates, ddof=1) / np.sqrt(len(estimates))
    assert error > 0
    assert abs(np.mean(estimates) - exact) < 4 * error


def test_the_same_seed_masks_the_same_tokens_and_another_one_others(tiny: Path) -> None:
    def measure(seed: int) -> list[float]:
        plan = PerplexityPlan(documents=2, masked_tokens=3, seed=seed, device="cpu")
        return list(pseudo_perplexity(tiny, DOCUMENTS, plan).log_probability)

    assert measure(1) == measure(1) != measure(2)


def test_blank_documents_are_never_drawn_and_those_without_tokens_are_counted(tiny: Path) -> None:
    result = pseudo_perplexity(tiny, [*DOCUMENTS, Document("control", "\u0007")], EXACT)
    assert (list(result.ids), result.empty) == (["d0", "d1", "d2", "d3"], 1)
    with pytest.raises(BadData, match="No document has a token"):
        pseudo_perplexity(tiny, [Document("blank", " ")], EXACT)


def test_the_interval_is_over_documents(tiny: Path) -> None:
    result = pseudo_perplexity(tiny, DOCUMENTS, EXACT)
    interval = result.interval
    assert min(result.per_document) <= interval.low < interval.value < interval.high <= max(result.per_document)
    assert "there is only one" in pseudo_perplexity(tiny, DOCUMENTS[:1], EXACT).notes[-1]


def test_memory_that_runs_out_halves_the_batch_and_changes_nothing(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected, compute = pseudo_perplexity(tiny, DOCUMENTS, EXACT), MaskedLanguageModel.logits

    def limited(self: MaskedLanguageModel, ids: torch.Tensor, *others: Any) -> torch.Tensor:
        if ids.numel() > 100:
            raise RuntimeError("CUDA out of memory. Tried to allocate 2.00 GiB.")
        return compute(self, ids, *others)

    monkeypatch.setattr(MaskedLanguageModel, "logits", limited)
    result = pseudo_perplexity(tiny, DOCUMENTS, EXACT)
    assert result.log_probability == pytest.approx(expected.log_probability, rel=1e-5)
    assert "memory ran out: the batches were reduced to" in result.notes[-1]


def test_a_window_that_does_not_fit_alone_is_an_error(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> torch.Tensor:
        raise MemoryError

    monkeypatch.setattr(MaskedLanguageModel, "logits", refuse)
    with pytest.raises(EmbedOnceError, match="One window of 22 positions does not fit into memory"):
        pseudo_perplexity(tiny, DOCUMENTS, EXACT)


def test_a_window_longer_than_the_encoder_is_refused(tiny: Path) -> None:
    with pytest.raises(CallError, match="window is 63, but tiny has 64 positions, 2 of them for special tokens"):
        pseudo_perplexity(tiny, DOCUMENTS, PerplexityPlan(window=63, device="cpu"))
    assert pseudo_perplexity(tiny, DOCUMENTS[:1], PerplexityPlan(device="cpu")).window == 62


def test_values_that_are_not_finite_are_an_error(tiny: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(MaskedLanguageModel, "logits", lambda _, ids, *__: torch.full((len(ids), 500), torch.nan))
    with pytest.raises(EmbedOnceError, match="not finite in float32"):
        pseudo_perplexity(tiny, DOCUMENTS, EXACT)


def test_progress_ends_with_all_masked_tokens(tiny: Path) -> None:
    calls: list[PredictionProgress] = []
    result = pseudo_perplexity(tiny, DOCUMENTS, EXACT, on_progress=calls.append)
    assert (calls[-1].done, calls[-1].total, calls[-1].seconds_left) == (result.masked.sum(), result.masked.sum(), 0)
    assert all(now.seconds_left > 0 for now in calls[:-1])


def test_the_training_split_includes_the_validation_split(tmp_path: Path) -> None:
    rows = [
        f"{split},text {row},{'ab'[row // 4 % 2]}" for row, split in enumerate(["train", "dev", "test", "train"] * 4)
    ]
    path = tmp_path / "table.csv"
    path.write_text("split,text,label\n" + "\n".join(rows) + "\n")
    counts = {split: len(read_documents(str(path), SourceSpec(), split, 0)[0]) for split in ("train", "test", "all")}
    assert counts == {"train": 12, "test": 4, "all": 16}


def test_a_split_without_documents_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("split,text\n" + "test,some text\n" * 3)
    with pytest.raises(BadData, match="has no documents in the train split"):
        read_documents(str(tmp_path / "table.csv"), SourceSpec(), "train", 0)
