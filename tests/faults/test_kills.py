"""A kill at any instant leaves a whole store, from which the next `embed` goes on without encoding anything again."""

import random
import signal
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from data.documents import Document
from featurestore import FeatureStore, text_key
from tests.conftest import write_csv
from tests.faults import embedding
from tests.faults.processes import ended, script
from tests.faults.whole import KEYS, assert_equal, assert_whole, committed_windows
from tests.featurestore.made import RECIPE


@pytest.mark.parametrize("moment", ["os.fsync", "os.replace"])
def test_a_kill_between_write_and_rename_leaves_no_shard(store: FeatureStore, moment: str) -> None:
    body = (
        f"{moment} = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "FeatureStore.open(Path(sys.argv[1])).commit(content(['new'], seed=1))"
    )
    code, _ = ended(script(body, store.folder))
    assert code == -signal.SIGKILL
    (left,) = store.folder.rglob(".tmp-*")
    again = FeatureStore.open(store.folder)
    assert again.documents == 4 and again.verify() == []
    assert again.missing_keys([*KEYS, text_key("new")]) == [text_key("new")]
    left.unlink()
    assert_whole(store.folder)


def test_a_kill_while_a_store_is_made_leaves_one_that_can_be_made(tmp_path: Path) -> None:
    body = (
        "Path.hardlink_to = lambda *_: os.kill(os.getpid(), signal.SIGKILL)\n"
        "FeatureStore.create(Path(sys.argv[1]), RECIPE)"
    )
    code, _ = ended(script(body, tmp_path / "store"))
    assert code == -signal.SIGKILL and not (tmp_path / "store" / "recipe.json").exists()
    assert FeatureStore.create(tmp_path / "store", RECIPE).verify() == []


def killed_and_resumed(folder: Path, kills: int, source: Path, model: str) -> None:
    """Kill as many embeds, each in another part of its time; let another end each one's work."""
    undisturbed = embedding.start(folder / "undisturbed", source, model)
    code, said = undisturbed.end()
    assert code == 0, said
    seconds = time.perf_counter() - undisturbed.started
    windows = Counter(undisturbed.windows)
    assert max(windows.values()) == 1
    codes = []
    for number in range(kills):
        store = folder / f"store {number}"
        killed = embedding.start(store, source, model)
        time.sleep(seconds * random.uniform(number, number + 1) / kills)
        codes.append(killed.kill())
        committed = committed_windows(store)
        resumed = embedding.start(store, source, model)
        code, said = resumed.end()
        assert code == 0, said
        # so no window that was committed was encoded again, and none is left out
        assert Counter(committed) + Counter(resumed.windows) == windows
        assert_equal(store, folder / "undisturbed")
    assert -signal.SIGKILL in codes


@pytest.mark.usefixtures("served")
@pytest.mark.parametrize("kills", [3, pytest.param(50, marks=pytest.mark.long)])
def test_after_a_kill_at_a_random_instant_embed_ends_as_if_nothing_had_been(
    kills: int, tmp_path: Path, short_texts: Path, tiny: Path
) -> None:
    killed_and_resumed(tmp_path, kills, short_texts, str(tiny))


@pytest.mark.long
@pytest.mark.usefixtures("served")
def test_an_embed_that_is_killed_again_and_again_gets_to_its_end(tmp_path: Path, short_texts: Path, tiny: Path) -> None:
    folder, code, patience = tmp_path / "store", -signal.SIGKILL, 0.5
    while code == -signal.SIGKILL:
        committed = committed_windows(folder)
        running = embedding.start(folder, short_texts, str(tiny))
        time.sleep(random.uniform(0, patience))
        code = running.kill()
        patience += 0.05
        assert not set(running.windows) & set(committed)
    assert set(Counter(committed_windows(folder)).values()) == {1}


@pytest.mark.long
@pytest.mark.usefixtures("served")
def test_the_packaged_encoder_is_killed_and_ends_as_if_nothing_had_been(
    tmp_path: Path, reuters_sample: Sequence[Document]
) -> None:
    texts = {document.text[:300]: document for document in reuters_sample}
    documents = [replace(document, text=text) for text, document in texts.items()]
    killed_and_resumed(tmp_path, 10, write_csv(tmp_path / "reuters.csv", documents), "all-MiniLM-L6-v2")
