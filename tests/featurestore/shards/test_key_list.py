"""Keys kept in 32 bytes each read as the text of their digits."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from featurestore import KeyList, text_key
from featurestore.shards.keys import KeyIndex, pack_keys

TEXTS = st.lists(st.text(st.characters(codec=None, exclude_categories=()), max_size=4), max_size=12)


@given(TEXTS)
def test_keys_are_those_of_the_texts_in_their_order(texts: list[str]) -> None:
    keys = KeyList.from_texts(texts)
    assert list(keys) == [text_key(text) for text in texts]
    assert (keys.array == pack_keys(list(keys))).all()
    rows = np.arange(len(texts))[::2]
    assert list(keys[rows]) == list(keys)[::2] == list(keys[::2])
    assert [texts[row] for row in keys.first_rows()] == list(dict.fromkeys(texts))
    assert keys.remainders(7).tolist() == [int(key[:16], 16) % 7 for key in keys]


def test_a_key_that_ends_in_zeros_keeps_them() -> None:
    ending = ["ab" * 30 + "0000", "00" * 32]
    keys = KeyList(pack_keys(ending))
    assert list(keys) == ending
    assert KeyIndex([keys.array]).contains(keys).all()
