"""Keywords of labels, and how they are permuted."""

import re
from random import Random

from stages.augment.keywords import BLOCK, KeywordExchange, KeywordShuffle, find_keywords
from stages.augment.words import Draft, Request

SPORT = ["the Team won the cup", "the team lost a match and the cup", "a goal in the match"]
MONEY = ["the bank raised a rate", "the rate of the market", "a market and the bank"]
TEXTS, LABELS = [*SPORT, *MONEY], [("sport",)] * 3 + [("money",)] * 3


def drafts(method: KeywordExchange | KeywordShuffle, rows: list[int], seed: int = 0) -> list[Draft | None]:
    return list(method.drafts([Request(row, Random(f"{seed} {row}")) for row in rows]))


def skeleton(text: str) -> list[str]:
    keywords = find_keywords(TEXTS, LABELS)
    return [word for word in re.findall(r"\w+", text) if not any(word.lower() in each for each in keywords.values())]


def test_keywords_are_frequent_in_their_label_and_rare_elsewhere() -> None:
    keywords = find_keywords(TEXTS, LABELS)
    assert {"team", "cup", "match", "goal"} <= keywords["sport"] and {"bank", "rate", "market"} <= keywords["money"]
    assert not {"the", "a", "and"} & (keywords["sport"] | keywords["money"])
    assert find_keywords(TEXTS, LABELS, most=1)["sport"] == {"cup"}  # as frequent as team, and first in the alphabet


def test_shuffled_keywords_stay_in_their_document() -> None:
    for row, draft in enumerate(drafts(KeywordShuffle(TEXTS, LABELS, 1.0), list(range(6)))):
        assert draft is not None and not draft.donors and skeleton(draft.text) == skeleton(TEXTS[row])
        assert sorted(draft.text.split()) == sorted(TEXTS[row].split())


def test_two_different_keywords_are_shuffled_even_if_one_of_them_is_rare() -> None:
    texts = ["wheat wheat wheat wheat corn", "oil oil price price rain"]
    method = KeywordShuffle(texts, [("farm",), ("energy",)], 0.3)
    made = [draft.text for seed in range(20) for draft in drafts(method, [0], seed) if draft is not None]
    assert len(made) == 20 and all(sorted(text.split()) == sorted(texts[0].split()) for text in made)
    assert len(set(made)) > 2


def test_exchanged_keywords_are_those_of_the_donor_which_has_the_same_label() -> None:
    method, changed = KeywordExchange(TEXTS, LABELS, 1.0, seed=0), 0
    for row, draft in enumerate(drafts(method, list(range(6)))):
        assert draft is not None
        (donor,) = draft.donors
        assert donor != row and LABELS[donor] == LABELS[row] and skeleton(draft.text) == skeleton(TEXTS[row])
        given = set(draft.text.split()) - set(skeleton(draft.text))
        assert given <= set(TEXTS[donor].split())
        changed += draft.text != TEXTS[row]
    assert changed == 6


def test_a_document_exchanges_keywords_with_few_others() -> None:
    texts = [f"word{chr(97 + number)} alpha" for number in range(23)] + ["beta"] * 30
    method = KeywordExchange(texts, [("a",)] * 23 + [("b",)] * 30, 1.0, seed=1)
    partners = [{(drafts(method, [row], seed) or [None])[0].donors[0] for seed in range(40)} for row in range(23)]  # type: ignore[union-attr]
    assert max(map(len, partners)) < 2 * BLOCK and min(map(len, partners)) >= 1
    assert all(row in partners[other] for row in range(23) for other in partners[row])


def test_a_document_without_keywords_or_without_a_partner_is_left_alone() -> None:
    texts, labels = [*TEXTS, "the of a", "volcano"], [*LABELS, ("sport",), ("rare",)]
    assert drafts(KeywordExchange(texts, labels, 1.0, seed=0), [6, 7]) == [None, None]
    assert drafts(KeywordShuffle(texts, labels, 1.0), [6, 7]) == [None, None]


def test_a_document_with_no_label_has_no_keywords() -> None:
    texts, labels = [*TEXTS, "the team"], [*LABELS, ()]
    assert drafts(KeywordShuffle(texts, labels, 1.0), [6]) == [None]
    assert drafts(KeywordExchange(texts, labels, 1.0, seed=0), [6]) == [None]
