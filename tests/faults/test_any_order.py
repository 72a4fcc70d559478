"""A store embeds, is killed, changed, relabelled, pruned, compacted, damaged and repaired, beside a dictionary."""

import shutil
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from numpy.typing import NDArray

from data.documents import Corpus, Document
from data.source_spec import SourceSpec
from featurestore import (
    FeatureStore,
    ShardContent,
    plan_compaction,
    plan_pruning,
    repair_store,
    run_compaction,
    text_key,
)
from stages.embed import Encoder, Options, embed, open_encoder
from stages.relabel import relabel
from tests.encoding import encode
from tests.stages.embed.fakes import CountingNetwork, counting
from tests.tiny_encoder import make_encoder

NAMES = st.sampled_from(["first", "second"])
NUMBERS = st.lists(st.integers(0, 12), min_size=1, max_size=8)


class Killed(BaseException):
    """The process ends here."""


def text_of(number: int) -> str:
    """Of unlike lengths, one of them empty."""
    return " ".join(["oil"] * number)


class Store(RuleBasedStateMachine):
    """`corpora`: what each corpus holds, id -> (text, label). `there`: texts whose features the store may not lack."""

    model: Path

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.corpora: dict[str, dict[str, tuple[str, str]]] = {}
        self.there: set[str] = set()
        self.network: CountingNetwork
        self.encoder = self.counting()
        FeatureStore.create(self.folder / "store", self.encoder.recipe)

    def counting(self, interrupt_after: int | None = None) -> Encoder:
        options = Options(model=str(self.model), dtype="float32", device="cpu", window=4, batch_tokens=16)
        encoder, self.network = counting(open_encoder(options), interrupt_after=interrupt_after)
        return encoder

    def store(self) -> FeatureStore:
        return FeatureStore.open(self.folder / "store")

    def corpus(self, name: str, numbers: list[int]) -> Corpus:
        """Remembers what it gives: as the source says it, so an older corpus of that name is replaced."""
        rows = {f"d{row}": (text_of(number), f"label {number % 3}") for row, number in enumerate(numbers)}
        self.corpora[name] = rows
        documents = [Document(identifier, text, (label,), "train") for identifier, (text, label) in rows.items()]
        return Corpus(name, f"{name}.csv", documents, "single", None, ())

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    @rule(name=NAMES, numbers=NUMBERS)
    def embed(self, name: str, numbers: list[int]) -> None:
        """Encodes what no shard has, and nothing else."""
        store, corpus = self.store(), self.corpus(name, numbers)
        texts = list(dict.fromkeys(document.text for document in corpus.documents))
        missing = store.missing_keys([text_key(text) for text in texts])
        windows = sum(max(1, -(-len(text.split()) // 4)) for text in texts if text_key(text) in missing)
        encoder = self.counting()
        report = embed(corpus, encoder, store)
        assert (report.encoded, self.network.windows) == (len(missing), windows)
        self.there |= set(texts)

    @rule(name=NAMES, numbers=NUMBERS, batches=st.integers(0, 3))
    def embed_interrupted(self, name: str, numbers: list[int], batches: int) -> None:
        encoder = self.counting(interrupt_after=batches)
        with suppress(KeyboardInterrupt):
            embed(self.corpus(name, numbers), encoder, self.store())

    @rule(name=NAMES, numbers=NUMBERS)
    def embed_killed_before_the_rename(self, name: str, numbers: list[int]) -> None:
        def killed(content: ShardContent) -> str:
            (store.folder / "shards" / ".tmp-0123456789abcdef").write_bytes(b"half a shard")
            raise Killed

        store = self.store()
        store.commit = killed  # type: ignore[method-assign]
        with suppress(Killed):
            embed(self.corpus(name, numbers), self.encoder, store)

    @rule(name=NAMES, label=st.sampled_from(["label 0", "new"]), data=st.data())
    def relabel(self, name: str, label: str, data: st.DataObject) -> None:
        if not self.corpora.get(name):
            return
        identifier = data.draw(st.sampled_from(sorted(self.corpora[name])))
        path = self.folder / "labels.csv"
        path.write_text(f"id,label\n{identifier},{label}\n")
        store = self.store()
        relabel(store, store.corpus(name), str(path), SourceSpec())
        self.corpora[name][identifier] = (self.corpora[name][identifier][0], label)

    @rule()
    def prune(self) -> None:
        store = self.store()
        if not self.corpora:
            return
        run_compaction(plan_pruning(store), store)
        named = {text for rows in self.corpora.values() for text, _ in rows.values()}
        assert set(store.keys) <= {text_key(text) for text in named}
        self.there &= named

    @rule()
    def compact(self) -> None:
        store = self.store()
        before = store.documents
        run_compaction(plan_compaction(store), store)
        assert store.documents == before and len(store.shards()) <= 1

    @rule(data=st.data())
    def damage_and_repair(self, data: st.DataObject) -> None:
        shards = self.store().shards()
        if not shards:
            return
        shard = data.draw(st.sampled_from(shards))
        path = self.folder / "store" / "shards" / shard.name
        content = bytearray(path.read_bytes())
        content[data.draw(st.integers(0, len(content) - 1))] ^= 1
        path.unlink()
        path.write_bytes(content)
        assert len(repair_store(self.store()).quarantined) == 1
        self.there = {text for text in self.there if text_key(text) in self.store().keys}

    @invariant()
    def nothing_is_lost_or_changed(self) -> None:
        store = self.store()
        assert [wrong for wrong in store.verify() if "have no features" not in wrong] == []
        assert store.missing_keys([text_key(text) for text in sorted(self.there)]) == []
        for number in range(13):
            if text_key(text_of(number)) in store.keys:
                found = store.bags([text_key(text_of(number))])
                for view, values in self.expected(number).items():
                    np.testing.assert_array_equal(found.view(view).gather()[0], values)

    @invariant()
    def corpora_are_as_they_were_left(self) -> None:
        store = self.store()
        assert store.corpora() == sorted(self.corpora)
        for name, rows in self.corpora.items():
            table = store.corpus(name)
            kept = zip(table.ids, table.keys, table.labels, strict=True)
            assert {i: (key, labels) for i, key, labels in kept} == {
                i: (text_key(text), (label,)) for i, (text, label) in rows.items()
            }

    def expected(self, number: int) -> dict[str, NDArray[Any]]:
        arrays = encode([text_of(number)], self.encoder).arrays
        return {"cls": arrays["chunks/cls"], "max": arrays["chunks/max"], "segments": arrays["segments/vector"]}


def test_a_store_survives_any_order_of_what_can_happen_to_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EMBEDONCE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(Store, "model", make_encoder(tmp_path / "tiny"), raising=False)
    run_state_machine_as_test(
        Store,
        settings=settings(
            max_examples=20, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
