"""Masked language modeling: 15 % of the words are masked, and the encoder predicts their tokens.

Whole words, as in BERT's later checkpoints: a masked piece of a word is easy to guess from the other pieces. Masking is
done by transformers' collator. It finds words by gaps between character offsets, which byte-level tokenizers and texts
without spaces lack; so it receives offsets whose gaps are where the tokenizer itself divides words.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch

from stages.adapt.masked_language_model import MaskedLanguageModel
from stages.adapt.objective import Integers, Objective, pad_windows
from stages.adapt.windows import TrainingWindows
from stages.embed.model_files.log_silencing import silence_transformers

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerBase

MASKED_SHARE = 0.15


def load_transformers_tokenizer(folder: Path) -> "PreTrainedTokenizerBase":
    """The tokenizer of a model folder as transformers loads it."""
    with silence_transformers():
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)


def masked_token_objective(
    model: MaskedLanguageModel, windows: TrainingWindows, tokenizer: "PreTrainedTokenizerBase"
) -> Objective:
    """Make the objective of `mlm`.

    Args:
        model: The encoder with its own head or a tied one.
        windows: What is learned from.
        tokenizer: The encoder's tokenizer in transformers, which names the mask token.
    """
    from transformers import DataCollatorForLanguageModeling

    collator = DataCollatorForLanguageModeling(
        tokenizer, whole_word_mask=True, mlm_probability=MASKED_SHARE, mask_replace_prob=1, random_replace_prob=0
    )

    def collate(numbers: Sequence[int], rng: np.random.Generator) -> dict[str, Any]:
        rows = [windows.tokens(number) for number in numbers]
        batch = pad_windows([ids for ids, _ in rows], windows)
        offsets, is_special = _word_offsets([words for _, words in rows], len(windows.opening), batch["input_ids"])
        collator.generator = torch.Generator().manual_seed(int(rng.integers(2**63)))
        ids, labels = collator.torch_mask_tokens(batch["input_ids"].clone(), is_special, offsets)
        return batch | {"input_ids": ids, "labels": labels}

    tokens = model.network.get_input_embeddings().weight.shape[0]
    return Objective(model, model.encoder, model.network, collate, MASKED_SHARE * tokens)


def _word_offsets(rows: Sequence[Integers], first: int, ids: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Character offsets with a gap in front of each word, int64 (rows, longest, 2); and bool, which are no tokens."""
    starts = np.zeros(tuple(ids.shape), dtype=np.int64)
    is_special = np.ones(tuple(ids.shape), dtype=np.int64)
    for row, words in enumerate(rows):
        columns = slice(first, first + len(words))
        is_special[row, columns] = 0
        starts[row, columns] = np.arange(len(words)) + (words - words[0])
    return torch.from_numpy(np.stack([starts, starts + 1], axis=-1)), torch.from_numpy(is_special)
