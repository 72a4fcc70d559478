"""n-grams compared with counts by hand, for arbitrary documents."""

from collections import Counter

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from featurestore import ContiguousTokens
from heads.linear_models.ngrams import TfIdf, Vocabulary
from tests.heads.words import ids_of

DOCUMENTS = st.lists(st.lists(st.lists(st.integers(0, 4), max_size=6), max_size=3), min_size=1, max_size=6)
LARGEST = 2**31 - 1


def tokens_of(documents: list[list[list[int]]]) -> ContiguousTokens:
    runs = [(row, run) for row, document in enumerate(documents) for run in document]
    lengths = [len(run) for _, run in runs]
    ids = np.array([token for _, run in runs for token in run], dtype=np.int32)
    document = np.array([row for row, _ in runs], dtype=np.int64).repeat(lengths)
    return ContiguousTokens(ids, np.arange(len(runs)).repeat(lengths), document)


def count_ngrams(runs: list[list[int]], max_n: int) -> Counter[tuple[int, ...]]:
    return Counter(
        tuple(run[at : at + n]) for run in runs for n in range(1, max_n + 1) for at in range(len(run) - n + 1)
    )


def sort_ngrams(columns: set[tuple[int, ...]]) -> list[tuple[int, ...]]:
    return sorted(columns, key=lambda ngram: (len(ngram), ngram))


@settings(deadline=None)
@given(DOCUMENTS, DOCUMENTS, st.integers(1, 4), st.integers(1, 3), st.data())
def test_counts_equal_those_by_hand(
    known: list[list[list[int]]], unseen: list[list[list[int]]], max_n: int, min_df: int, data: st.DataObject
) -> None:
    weight = np.array(data.draw(st.lists(st.sampled_from([1.0, 2.0]), min_size=len(known), max_size=len(known))))
    counters = [count_ngrams(runs, max_n) for runs in known]
    df = Counter[tuple[int, ...]]()
    for counter, times in zip(counters, weight.tolist(), strict=True):
        df.update({ngram: int(times) for ngram in counter})
    columns = sort_ngrams({ngram for ngram, total in df.items() if total >= min_df})
    vocabulary, counts = Vocabulary.fit(tokens_of(known), weight, max_n, min_df)
    assert len(vocabulary) == len(columns)
    assert counts.toarray().tolist() == [[counter[ngram] for ngram in columns] for counter in counters]
    transformed = vocabulary.count(tokens_of(unseen), len(unseen))
    assert transformed.toarray().tolist() == [
        [count_ngrams(runs, max_n)[ngram] for ngram in columns] for runs in unseen
    ]


def test_ids_of_any_size_have_distinct_codes() -> None:
    large = [[[LARGEST - row, LARGEST, LARGEST - 1, LARGEST - row]] for row in range(4)]
    vocabulary, counts = Vocabulary.fit(tokens_of(large), np.ones(4), 4, 1)
    assert len(vocabulary) == len({ngram for runs in large for ngram in count_ngrams(runs, 4)})
    np.testing.assert_array_equal(vocabulary.count(tokens_of(large), 4).toarray(), counts.toarray())


def test_rows_have_length_one_or_are_empty() -> None:
    tokens = ids_of([np.array([1, 2, 1]), np.array([], np.int32), np.array([2, 3])]).contiguous_tokens()
    tfidf, rows = TfIdf.fit(tokens, np.ones(3), 2, 1)
    length: NDArray[np.float64] = np.linalg.norm(rows.toarray(), axis=1)
    np.testing.assert_allclose(length, [1, 0, 1])
    np.testing.assert_array_equal(tfidf.transform(tokens, 3).toarray(), rows.toarray())
    # 1 twice, in one of three documents; 2 once, in two of them; 1-2 and 2-1 once, in one
    rare, common = 1 + np.log(4 / 2), 1 + np.log(4 / 3)
    expected = np.array([(1 + np.log(2)) * rare, common, 0, rare, rare, 0])
    np.testing.assert_allclose(rows.toarray()[0], expected / np.linalg.norm(expected))
