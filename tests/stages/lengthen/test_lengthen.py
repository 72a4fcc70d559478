"""A lengthened encoder: the vectors of the original on short inputs, finite ones on long inputs, and all its files."""

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from data.errors import CallError, EmbedOnceError, ModelUnavailable
from featurestore import EncoderTraining, TrainingStep, text_key
from stages.adapt.masked_language_model import open_masked_language_model
from stages.embed.model_files.model_lookup import find_packaged_model
from stages.embed.model_files.saved_encoders import list_encoders, read_training, save_encoder
from stages.embed.model_files.sentence_transformers_folder import read_sentence_transformers_folder
from stages.lengthen.lengthen import LengthenRequest, lengthen
from tests.encoding import encode
from tests.stages.lengthen.conftest import Folders, Lengthen, opened
from tests.tiny_encoder import SENTENCES, make_encoder, make_sentence_transformers_folder

FAMILIES = ("bert", "roberta", "xlm-roberta", "camembert")
EVERYTHING: dict[str, Any] = {"keep": ("cls", "mean", "max", "segments", "tokens"), "segment": 5}
WORDS = " ".join(SENTENCES).split()
# of all lengths up to the 14 tokens that, with the special ones, are half of the attention window of 32
SHORT = ["", "oil", *SENTENCES]


def differences(old: Path, new: Path, texts: list[str], **options: Any) -> float:
    """The largest difference of the vectors: of the old encoder each text alone, of the new one in padded batches."""
    one, other = (
        encode(texts, opened(folder, batch_tokens=batch_tokens, **EVERYTHING, **options)).arrays
        for folder, batch_tokens in ((old, 1), (new, 4096))
    )
    assert one.keys() == other.keys()
    return max(float(np.abs(one[name] - other[name]).max()) for name in one if one[name].dtype == np.float32)


@pytest.mark.parametrize("family", FAMILIES)
def test_inputs_of_up_to_half_the_attention_window_keep_their_vectors(
    folders: Folders, lengthened: Lengthen, family: str
) -> None:
    new = lengthened(folders(family))
    assert (new.family, new.equal_positions, new.positions) == (family, 16, 128)
    assert new.largest_difference <= 1e-5
    assert differences(folders(family), new.folder, SHORT, window=14, layers="all") <= 1e-5


@pytest.mark.parametrize("family", ["bert", "xlm-roberta"])
def test_a_longer_input_has_other_vectors_and_the_longest_is_finite(
    folders: Folders, lengthened: Lengthen, family: str
) -> None:
    new = lengthened(folders(family)).folder
    assert differences(folders(family), new, [" ".join(WORDS)], window=40) > 1e-3
    encoder = opened(new, long="model", **EVERYTHING)
    assert encoder.recipe.window == 126
    content = encode([" ".join(WORDS * 5), "oil"], encoder)
    assert len(content.arrays["tokens/vector"]) > 126
    assert all(np.isfinite(array).all() for array in content.arrays.values() if array.dtype == np.float32)
    with pytest.raises(CallError, match=r"128 positions.* the longest window is 126\."):
        opened(new, window=127)


def test_a_note_says_that_the_default_windows_are_shorter_than_possible(folders: Folders, lengthened: Lengthen) -> None:
    folder = lengthened(folders("bert"), positions=1024).folder
    (note,) = opened(folder).notes
    assert note == f"The windows have 254 tokens, but {folder} can read 1,024 positions at once: --long model."
    assert opened(folder, window=254).notes == opened(folder, long="model").notes == ()


def test_the_first_token_attends_to_all_so_distant_words_reach_it(folders: Folders, lengthened: Lengthen) -> None:
    encoder = opened(lengthened(folders("bert"), attention_window=4).folder, long="model", keep=("cls", "tokens"))
    texts = [" ".join(["oil"] * 60 + [word]) for word in ("price", "team")]
    arrays = [encode([text], encoder).arrays for text in texts]
    assert np.abs(arrays[0]["chunks/cls"] - arrays[1]["chunks/cls"]).max() > 1e-3


@pytest.mark.parametrize(("family", "first", "unused"), [("bert", 0, 2), ("roberta", 2, 2)])
def test_the_rows_of_the_positions_are_repeated(
    folders: Folders, lengthened: Lengthen, family: str, first: int, unused: int
) -> None:
    from safetensors.torch import load_file

    name = "embeddings.position_embeddings.weight"
    new = load_file(lengthened(folders(family), positions=160).folder / "model.safetensors")[name].numpy()
    old = load_file(folders(family) / "model.safetensors")[name].numpy()[first:]
    assert new.shape == (unused + 160, 16)
    np.testing.assert_array_equal(new[unused:], np.concatenate([old, old, old[:32]]))


def save_with_head(folder: Path, source: Path, **config: Any) -> None:
    """Save the encoder in `source` with a random head for masked language modeling."""
    import torch
    from transformers import AutoModelForMaskedLM

    torch.manual_seed(0)
    shutil.copytree(source, folder)
    network = AutoModelForMaskedLM.from_pretrained(source, **config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    network.save_pretrained(folder)


def logits(folder: Path, ids: Any, mask: Any) -> Any:
    import torch
    from transformers import AutoModelForMaskedLM

    network, loading = AutoModelForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert not loading["missing_keys"]
    with torch.inference_mode():
        return network.eval()(ids, attention_mask=mask).logits


@pytest.mark.parametrize(
    ("family", "config"), [("bert", {}), ("roberta", {}), ("bert", {"tie_word_embeddings": False})]
)
def test_a_head_for_masked_language_modeling_is_kept(
    folders: Folders, lengthened: Lengthen, tmp_path: Path, family: str, config: dict[str, Any]
) -> None:
    import torch

    save_with_head(tmp_path / "head", folders(family), **config)
    new = lengthened(tmp_path / "head")
    assert new.has_masked_language_head
    ids = torch.tensor([[0, *range(5, 18), 4, 2], [0, 7, 8, 2, *[1] * 12]])
    mask = (ids != 1).long()
    old_logits, new_logits = (logits(folder, ids, mask)[mask == 1] for folder in (tmp_path / "head", new.folder))
    torch.testing.assert_close(new_logits, old_logits, rtol=1e-4, atol=1e-4)
    assert differences(tmp_path / "head", new.folder, SHORT, window=14) <= 1e-5


def test_a_head_with_another_activation_is_left_out(folders: Folders, lengthened: Lengthen, tmp_path: Path) -> None:
    save_with_head(tmp_path / "head", folders("bert"), hidden_act="relu")
    new = lengthened(tmp_path / "head")
    assert not new.has_masked_language_head
    assert differences(tmp_path / "head", new.folder, SHORT, window=14) <= 1e-5


def test_transformers_trains_it_on_masked_tokens_with_a_new_head(folders: Folders, lengthened: Lengthen) -> None:
    import torch
    from transformers import LongformerForMaskedLM

    folder = lengthened(folders("bert")).folder
    network, loading = LongformerForMaskedLM.from_pretrained(folder, output_loading_info=True)
    assert all(name.startswith("lm_head.") for name in loading["missing_keys"])
    ids = torch.arange(5, 105)[None]
    network(ids, global_attention_mask=torch.eye(1, 100).long(), labels=ids).loss.backward()
    attention = network.longformer.encoder.layer[0].attention.self
    for layer in (attention.query, attention.query_global, network.lm_head.dense):
        assert float(layer.weight.grad.abs().sum()) > 0


@pytest.mark.parametrize("own_head", [True, False])
def test_adapt_and_perplexity_use_the_global_attention_of_the_first_token(
    folders: Folders, lengthened: Lengthen, tmp_path: Path, own_head: bool
) -> None:
    import torch

    source = folders("bert")
    if own_head:
        save_with_head(tmp_path / "head", source)
        source = tmp_path / "head"
    model = open_masked_language_model(lengthened(source).folder, "long").requires_grad_(True)
    assert model.has_own_head is own_head
    ids = torch.arange(5, 55)[None]
    model(ids, labels=ids)["loss"].backward()
    encoder: Any = model.encoder
    assert float(encoder.encoder.layer[0].attention.self.query_global.weight.grad.abs().sum()) > 0


def test_sentence_transformers_use_it_when_they_are_trained_here(folders: Folders, lengthened: Lengthen) -> None:
    pytest.importorskip("sentence_transformers")
    from stages.adapt.sentence_objectives import load_sentence_encoder

    folder = lengthened(folders("bert")).folder
    text = " ".join(WORDS[:50])
    (expected,) = encode([text], opened(folder, long="model", keep=("cls",))).arrays["chunks/cls"]
    vector = load_sentence_encoder(folder, "cls", 128).encode(text)
    np.testing.assert_allclose(vector, expected, atol=1e-5)


def test_older_files_of_weights_are_read(folders: Folders, lengthened: Lengthen, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    old = tmp_path / "old"
    shutil.copytree(folders("bert"), old)
    tensors = load_file(old / "model.safetensors")
    (old / "model.safetensors").unlink()
    names = {".LayerNorm.weight": ".LayerNorm.gamma", ".LayerNorm.bias": ".LayerNorm.beta"}
    renamed = {f"bert.{name}": values for name, values in tensors.items()}
    for new_name, old_name in names.items():
        renamed = {name.replace(new_name, old_name): values for name, values in renamed.items()}
    torch.save(renamed | {"cls.seq_relationship.bias": torch.zeros(2)}, old / "pytorch_model.bin")
    assert differences(folders("bert"), lengthened(old).folder, SHORT, window=14) <= 1e-5


def test_the_padding_id_is_that_of_the_tokenizer_if_the_config_has_the_id_of_the_opening_token(
    folders: Folders, lengthened: Lengthen, tmp_path: Path
) -> None:
    shutil.copytree(folders("bert"), tmp_path / "e5")
    config = json.loads((tmp_path / "e5" / "config.json").read_text())
    (tmp_path / "e5" / "config.json").write_text(json.dumps(config | {"pad_token_id": 0}))
    new = lengthened(tmp_path / "e5").folder
    assert json.loads((new / "config.json").read_text())["pad_token_id"] == 1
    assert differences(tmp_path / "e5", new, SHORT, window=14) <= 1e-5


@pytest.mark.parametrize("family", FAMILIES)
def test_transformers_opens_the_same_tokenizer_with_the_new_length(
    folders: Folders, lengthened: Lengthen, tmp_path: Path, family: str
) -> None:
    from transformers import AutoTokenizer

    folder = shutil.copytree(folders(family), tmp_path / "plain")
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    if family in ("bert", "roberta"):  # the others have classes that do not read the tokenizer of a tiny encoder
        del settings["tokenizer_class"]
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    old, new = (AutoTokenizer.from_pretrained(each) for each in (folder, lengthened(folder).folder))
    assert new.model_max_length == 128
    assert new(list(SENTENCES))["input_ids"] == old(list(SENTENCES))["input_ids"]
    truncated = new(" ".join(WORDS * 5), truncation=True)["input_ids"]
    assert len(truncated) == 128 and truncated[-1] == 2
    assert opened(folder).tokenizer.hash == opened(folder.parent / "made" / "long").tokenizer.hash


def test_the_files_of_sentence_transformers_are_kept(folders: Folders, lengthened: Lengthen, tmp_path: Path) -> None:
    source = tmp_path / "sentences"
    shutil.copytree(folders("roberta"), source)
    prompts = {"prompts": {"query": "find: "}, "default_prompt_name": "query"}
    make_sentence_transformers_folder(source, {"pooling_mode_mean_tokens": True}, prompts, max_length=24)
    new = read_sentence_transformers_folder(lengthened(source).folder)
    assert (new.poolings, new.prefix, new.max_length, new.normalized) == (("mean",), "find: ", 128, True)


def test_an_encoder_in_a_subfolder_is_moved_into_the_folder_itself(
    folders: Folders, lengthened: Lengthen, tmp_path: Path
) -> None:
    source = tmp_path / "nested"
    shutil.copytree(folders("bert"), source / "0_Transformer")
    (source / "2_Dense").mkdir()
    (source / "2_Dense" / "config.json").write_text("{}")
    paths = (("0_Transformer", "Transformer"), ("2_Dense", "Dense"))
    modules = [{"path": path, "type": f"sentence_transformers.models.{kind}"} for path, kind in paths]
    (source / "modules.json").write_text(json.dumps(modules))
    folder = lengthened(source).folder
    assert read_sentence_transformers_folder(folder).folder == folder
    assert (folder / "2_Dense" / "config.json").is_file() and not (folder / "0_Transformer").exists()


def test_the_record_of_what_was_learned_is_kept_without_a_step_of_its_own(
    folders: Folders, lengthened: Lengthen, encoders: Path
) -> None:
    step = TrainingStep(
        method="mlm", corpus="news", uses_labels=False, includes_test=True, keys=frozenset({text_key("a")})
    )
    record = EncoderTraining(base="tiny", steps=(step,), fold_encoders={"tiny-news-1": "00"})
    with save_encoder("tiny-news", record) as folder:
        shutil.copytree(folders("bert"), folder, dirs_exist_ok=True)
    new = lengthened(Path("tiny-news"))
    assert read_training(new.folder) == EncoderTraining(base="tiny", steps=(step,))
    assert "encoders of folds are not lengthened" in new.notes[0]
    plain = lengthened(folders("bert"), name="plain")
    assert read_training(plain.folder) == EncoderTraining(base=str(folders("bert")))
    assert plain.notes == ()


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"positions": 64}, "has 64 positions already. Use more than that for --positions."),
        ({"positions": 32}, "has 64 positions already."),
        (
            {"positions": 144},
            "144 positions are not a multiple of the .* window of 32, .* Use --positions 128 or 160.",
        ),
        (
            {"attention_window": 512},
            "128 positions are not a multiple of the .* window of 512, .* --positions 512.",
        ),
        (
            {"attention_window": 33},
            "attention-window is 33, but half of it is on either side of a token: use an even one, at least 4.",
        ),
        ({"name": "a/b"}, "An encoder cannot be called 'a/b'"),
    ],
)
def test_lengths_that_are_not_possible_raise_one_sentence(
    folders: Folders, lengthened: Lengthen, encoders: Path, options: dict[str, Any], sentence: str
) -> None:
    with pytest.raises(CallError, match=sentence):
        lengthened(folders("bert"), **options)
    assert not encoders.exists() or not list(encoders.iterdir())


@pytest.mark.parametrize(
    ("family", "config", "sentence"),
    [
        ("distilbert", {}, "'distilbert', which cannot be lengthened. Supported: bert, camembert, roberta and xlm-rob"),
        ("longformer", {}, "of the family 'longformer', which cannot be lengthened."),
        ("bert", {"is_decoder": True}, "is a decoder, and cannot be lengthened."),
        ("bert", {"position_embedding_type": "relative_key"}, "has relative positions, and cannot be lengthened."),
    ],
)
def test_an_encoder_that_is_not_supported_raises_one_sentence(
    folders: Folders, lengthened: Lengthen, tmp_path: Path, family: str, config: dict[str, Any], sentence: str
) -> None:
    folder = shutil.copytree(folders(family), tmp_path / "model")
    values = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(values | config))
    with pytest.raises(ModelUnavailable, match=sentence):
        lengthened(folder)


def damage(folder: Path, file: str) -> None:
    if file == "tokenizer.json":
        (folder / file).unlink()
    elif file == "model.safetensors":
        (folder / file).write_bytes((folder / file).read_bytes()[:-8])
    else:
        (folder / file).write_text("[")


@pytest.mark.parametrize(
    ("file", "sentence"),
    [
        ("tokenizer.json", "has no fast tokenizer"),
        ("model.safetensors", "is damaged"),
        ("tokenizer_config.json", "its tokenizer cannot be read|is damaged"),
        ("config.json", "config.json cannot be read"),
    ],
)
def test_a_damaged_model_raises_one_sentence_and_leaves_nothing(
    lengthened: Lengthen, encoders: Path, tmp_path: Path, file: str, sentence: str
) -> None:
    folder = make_encoder(tmp_path / "model")
    damage(folder, file)
    with pytest.raises(EmbedOnceError, match=sentence):
        lengthened(folder)
    assert not encoders.exists() or not list(encoders.iterdir())


def test_a_network_that_differs_from_its_family_is_refused(
    folders: Folders, lengthened: Lengthen, encoders: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("stages.lengthen.lengthen._TOLERANCE", 0.0)
    with pytest.raises(ModelUnavailable, match="cannot be lengthened: its hidden states would change by"):
        lengthened(folders("bert"))
    assert list(encoders.iterdir()) == []


@pytest.mark.long
@pytest.mark.skipif(find_packaged_model("all-MiniLM-L6-v2") is None, reason="the packaged encoder is not installed")
def test_the_packaged_encoder_keeps_its_vectors_and_reads_4096_positions(encoders: Path) -> None:
    new = lengthen(LengthenRequest(model="all-MiniLM-L6-v2"))
    assert (new.name, new.equal_positions, new.positions) == ("all-MiniLM-L6-v2-4096", 256, 4096)
    assert new.largest_difference <= 1e-5
    texts = [*SENTENCES, " ".join(SENTENCES * 4)]
    assert differences(Path("all-MiniLM-L6-v2"), Path(new.name), texts, window=254) <= 1e-5
    encoder = opened(Path(new.name), long="model")
    content = encode([" ".join(SENTENCES * 60)], encoder)
    assert encoder.recipe.window == 4094 and len(content.arrays["chunks/mean"]) == 1 + (
        len(content.arrays["chunks/mean"]) > 1
    )
    assert np.isfinite(content.arrays["chunks/mean"]).all()
    assert [encoder.name for encoder in list_encoders()] == [new.name]
