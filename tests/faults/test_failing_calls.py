"""Each call that writes fails at each of its places in an embed: a sentence, nothing lost, and it goes on later."""

from collections.abc import Callable
from pathlib import Path

import pytest

from data.errors import StorageFailed
from featurestore import FeatureStore, ShardContent
from stages.embed import Encoder, Options, embed, open_encoder
from stages.embed.pipeline import background
from tests.faults.conftest import DIGITS
from tests.faults.failing import fail_below
from tests.faults.whole import faults_in
from tests.stages.embed.fakes import CountingNetwork, corpus, counting

TEXTS = [" ".join(DIGITS[: length + 1]) for length in range(4)]
SENTENCE = (
    r": No space left on device\. Make room and run the same command again; what was committed before is intact\.$"
)

Embed = Callable[[Path], CountingNetwork]


@pytest.fixture(scope="module")
def encoder(tiny: Path) -> Encoder:
    return open_encoder(Options(model=str(tiny), device="cpu", keep=("mean",)))


@pytest.fixture
def committed(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The shards that were reported as committed."""
    names: list[str] = []
    real = FeatureStore.commit

    def commit(self: FeatureStore, content: ShardContent) -> str:
        names.append(real(self, content))
        return names[-1]

    monkeypatch.setattr(FeatureStore, "commit", commit)
    return names


@pytest.fixture
def embed_into(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Embed:
    """Make a store and embed four texts into it, a shard each; gives what counted the windows."""
    monkeypatch.setattr(background, "SHARD_BYTES", 1)

    def embed_all(folder: Path) -> CountingNetwork:
        counted, network = counting(encoder)
        embed(corpus(TEXTS), counted, FeatureStore.create(folder, counted.recipe))
        return network

    return embed_all


def places(folder: Path, call: str, embed_into: Embed) -> range:
    """1 for the first time that an undisturbed embed makes this call, and so on."""
    with pytest.MonkeyPatch.context() as patched:
        counted = fail_below(folder, patched, call)
        assert embed_into(folder / "store").windows == len(TEXTS)
    return range(1, counted.calls + 1)


@pytest.mark.parametrize("for_good", [False, True])
@pytest.mark.parametrize("call", ["open", "write", "fsync", "replace", "mkdir"])
def test_each_call_that_fails_anywhere_is_reported_loses_nothing_and_embed_resumes(
    tmp_path: Path, embed_into: Embed, committed: list[str], encoder: Encoder, call: str, for_good: bool
) -> None:
    found = places(tmp_path / "undisturbed", call, embed_into)
    assert len(found) >= 4
    for at in found:
        folder = tmp_path / str(at) / "store"
        committed.clear()
        with pytest.MonkeyPatch.context() as patched, pytest.raises(StorageFailed, match=SENTENCE):
            fail_below(folder.parent, patched, call, at, for_good=for_good)
            embed_into(folder)
        assert list(folder.rglob(".tmp-*")) == []
        store = FeatureStore.create(folder, encoder.recipe)
        assert set(committed) <= {shard.name for shard in store.shards()}
        assert faults_in(store) == []
        assert embed_into(folder).windows == len(TEXTS) - store.documents
        assert faults_in(FeatureStore.open(folder)) == []


def test_a_file_system_without_hard_links_is_as_good(tmp_path: Path, embed_into: Embed) -> None:
    assert len(places(tmp_path / "undisturbed", "link", embed_into)) == 1
    with pytest.MonkeyPatch.context() as patched:
        fail_below(tmp_path, patched, "link", 1, for_good=True)
        assert embed_into(tmp_path / "store").windows == len(TEXTS)
    assert faults_in(FeatureStore.open(tmp_path / "store")) == []
