"""What an encoder learns: whole words are masked and deleted, and batches have several documents of a label."""

from collections import Counter
from collections.abc import Callable

import numpy as np
import pytest

from data.errors import BadData
from data.target import Target
from stages.adapt.label_objective import label_batches
from stages.adapt.masked_language_model import IGNORED, open_masked_language_model
from stages.adapt.masked_token_objective import load_transformers_tokenizer, masked_token_objective
from stages.adapt.objective import random_batches
from stages.adapt.sentence_objectives import delete_words
from stages.adapt.training import plan_batches
from stages.adapt.windows import LONGEST_WORD, TrainingWindows
from stages.embed import Encoder
from tests.stages.adapt.conftest import Folders
from tests.tiny_encoder import SENTENCES

Open = Callable[[str], Encoder]
LONG_WORDS = "penalties highway extravagantly goalkeeper unknowable thinking sentences"


@pytest.mark.parametrize("family", ["bert", "roberta"])
def test_a_word_is_masked_as_a_whole(tiny: Open, folders: Folders, family: str) -> None:
    windows = TrainingWindows.of([LONG_WORDS, *SENTENCES], tiny(family), least_words=2)
    model = open_masked_language_model(folders(family), family)
    objective = masked_token_objective(model, windows, load_transformers_tokenizer(folders(family)))
    divided = masked = 0
    for seed in range(30):
        batch = objective.collate(range(len(windows)), np.random.default_rng(seed))
        for number in range(len(windows)):
            words = windows.tokens(number)[1]
            is_masked = (batch["labels"][number] != IGNORED).numpy()[1 : 1 + len(words)]
            shares = [is_masked[words == word].mean() for word in np.unique(words)]
            divided += sum(0 < share < 1 for share in shares)
            masked += int(sum(shares))
    assert divided == 0
    assert 0.1 < masked / (30 * sum(len(np.unique(windows.tokens(n)[1])) for n in range(len(windows)))) < 0.2


def test_only_tokens_of_the_text_are_masked(tiny: Open, folders: Folders) -> None:
    windows = TrainingWindows.of(SENTENCES, tiny("bert"), least_words=2)
    model = open_masked_language_model(folders("bert"), "bert")
    objective = masked_token_objective(model, windows, load_transformers_tokenizer(folders("bert")))
    batch = objective.collate(range(len(windows)), np.random.default_rng(0))
    special = {*windows.opening, *windows.closing, windows.pad_id}
    labels = batch["labels"][batch["labels"] != IGNORED]
    assert (batch["input_ids"][batch["labels"] != IGNORED] == model.mask_id).all()
    assert not special & set(labels.tolist())


def test_a_sentence_without_spaces_is_not_one_word(tiny: Open) -> None:
    windows = TrainingWindows.of(["a日本語の文もありますので長いです" * 2], tiny("roberta"), least_words=2)
    counts = Counter(windows.tokens(0)[1].tolist())
    assert max(counts.values()) <= LONGEST_WORD


def test_windows_with_too_few_words_are_left_out(tiny: Open) -> None:
    windows = TrainingWindows.of(["", "goalkeeper", "two words", "goalkeeper!"], tiny("bert"), least_words=2)
    assert windows.document.tolist() == [2, 3]


def test_long_documents_are_several_training_texts(tiny: Open) -> None:
    windows = TrainingWindows.of([" ".join(SENTENCES), "two words"], tiny("bert"), least_words=2)
    counts = np.bincount(windows.document)
    assert counts[0] > 1
    assert counts[1] == 1
    assert windows.lengths.max() <= 64


def test_equal_texts_are_learned_once(tiny: Open) -> None:
    windows = TrainingWindows.of(["two words", "one text", "Two words"], tiny("bert"), least_words=2)
    assert windows.first_of_each_text().document.tolist() == [0, 1]


def test_words_are_deleted_as_a_whole_and_one_stays() -> None:
    words = np.array([7, 7, 8, 9, 9, 9])
    ids = np.arange(6)
    results = [delete_words(ids, words, np.random.default_rng(seed)).tolist() for seed in range(300)]
    whole = {(0, 1), (2,), (3, 4, 5), (0, 1, 2), (0, 1, 3, 4, 5), (2, 3, 4, 5), (0, 1, 2, 3, 4, 5)}
    assert {tuple(result) for result in results} == whole
    kept = np.mean([len(set(words[result])) for result in results])
    assert kept == pytest.approx(3 * 0.4 + 0.6**3, abs=0.15)  # one stays where all three would have been deleted


def batches(y: np.ndarray, tiny: Open, batch_size: int) -> list[np.ndarray]:
    texts = [f"text number {row}" for row in range(len(y))]
    windows = TrainingWindows.of(texts, tiny("bert"), least_words=1)
    target = Target("single" if y.ndim == 1 else "multilabel", ("a", "b", "c"), y)
    epoch = label_batches(windows, target)
    return [windows.document[batch] for batch in epoch(batch_size, np.random.default_rng(0))]


def test_a_batch_has_several_documents_of_most_of_its_labels(tiny: Open) -> None:
    y = np.repeat([0, 1, 2], [60, 20, 4])
    drawn = batches(y, tiny, 12)
    assert all(len(batch) <= 12 for batch in drawn)
    pairs = [min(Counter(y[batch].tolist()).values()) for batch in drawn[:-1]]
    assert np.mean(np.array(pairs) > 1) > 0.8
    assert sum(map(len, drawn)) >= len(y) - 1  # a batch of one document has no pair


def test_rare_labels_are_drawn_more_often_than_they_occur(tiny: Open) -> None:
    y = np.repeat([0, 1, 2], [75, 15, 3])
    counts = np.bincount(y[np.concatenate(batches(y, tiny, 16))])
    shares = np.sqrt([75, 15, 3]) / np.sqrt([75, 15, 3]).sum()
    np.testing.assert_allclose(counts / counts.sum(), shares, atol=0.05)


def test_multilabel_documents_are_drawn_by_one_of_their_labels(tiny: Open) -> None:
    y = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1], [1, 0, 1]] * 6, dtype=bool)
    drawn = batches(y, tiny, 8)
    assert sum(map(len, drawn)) >= len(y) - 1  # a batch of one document has no pair


@pytest.mark.parametrize("windows", [0, 1])
def test_an_epoch_without_a_batch_is_refused(windows: int) -> None:
    with pytest.raises(BadData, match="too few texts for a batch"):
        plan_batches(random_batches(windows, least=2), 8, epochs=1, steps=3, seed=0)
