"""`lengthen` as a person calls it: what it prints, and what `embed` makes of the result."""

import json
from pathlib import Path

from tests.conftest import Run
from tests.tiny_encoder import SENTENCES, make_encoder

OPTIONS = ("--positions", 128, "--attention-window", 32)


def test_it_prints_where_the_encoder_is_and_what_comes_next(embedonce: Run, tmp_path: Path) -> None:
    make_encoder(tmp_path / "tiny")
    shown = embedonce("lengthen", "./tiny", *OPTIONS)
    assert (shown.code, shown.out) == (0, "")
    assert "Wrote encoders/tiny-128: 128 positions instead of 64, " in shown.err
    assert "inputs of up to 16 tokens have the vectors of ./tiny (largest difference " in shown.err
    assert "`embedonce adapt CORPUS --model tiny-128 --method mlm --long model --name NAME`" in shown.err
    assert "nothing" in embedonce("encoders").out


def test_json_has_the_same_facts_and_a_second_call_says_that_the_name_is_taken(embedonce: Run, tmp_path: Path) -> None:
    make_encoder(tmp_path / "tiny")
    result = json.loads(embedonce("lengthen", "./tiny", *OPTIONS, "--name", "long", "--json").out)
    assert (result["folder"], result["equal_positions"], result["largest_difference"] < 1e-3) == (
        "encoders/long",
        16,
        True,
    )
    assert result["bytes"] == sum(path.stat().st_size for path in (tmp_path / "encoders" / "long").iterdir())
    again = embedonce("lengthen", "./tiny", *OPTIONS, "--name", "long")
    assert again.code == 2 and "encoders/long exists already. Choose another --name" in again.err


def test_embed_reads_a_document_as_one_window(embedonce: Run, tmp_path: Path) -> None:
    make_encoder(tmp_path / "tiny")
    assert embedonce("lengthen", "./tiny", *OPTIONS).code == 0
    rows = [{"text": f"{number} {SENTENCES[0]} " * 4, "label": "xy"[number % 2]} for number in range(6)]
    (tmp_path / "news.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    long = embedonce("embed", "news.jsonl", "--model", "tiny-128", "--long", "model", "--store", "long")
    assert long.code == 0 and "6 windows" in long.out + long.err, long.err
