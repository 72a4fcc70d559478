"""Stores made up by hypothesis: several shards, some keys twice in them, empty documents, empty stores."""

from dataclasses import replace

import pytest
from hypothesis import strategies as st

from featurestore import FeatureStore, Recipe, ShardContent
from tests.featurestore.made import NAMED, RECIPE, content

each_number_type = pytest.mark.parametrize("dtype", ["float16", "float32", "bfloat16"])


@st.composite
def contents(draw: st.DrawFn, dtype: str) -> tuple[Recipe, list[ShardContent]]:
    """Up to 4 shards of up to 6 documents of up to 3 items in each dataset."""
    keep = draw(st.sets(st.sampled_from(list(NAMED))))
    recipe = replace(
        RECIPE,
        dtype=dtype,
        layers=draw(st.sampled_from([(-1,), (-1, -4), (-2, -1)])),
        keep=tuple(view for view in NAMED if view in keep),
    )
    texts = st.lists(st.sampled_from([f"text {row}" for row in range(12)]), max_size=6)
    return recipe, [content(each, recipe, seed=seed) for seed, each in enumerate(draw(st.lists(texts, max_size=4)))]


def drawn(data: st.DataObject, dtype: str, folders: pytest.TempPathFactory) -> FeatureStore:
    """A store of such shards in a folder of its own."""
    recipe, shards = data.draw(contents(dtype))
    store = FeatureStore.create(folders.mktemp("made") / "store", recipe)
    for shard in shards:
        store.commit(shard)
    return store
