"""Tiny encoders of real families: random weights and a trained tokenizer in a folder as a hub gives it."""

from pathlib import Path
from typing import Any

SENTENCES = (
    "The oil price rose after the ministers met in Vienna on Monday.",
    "Wheat and corn exports fell, the department of agriculture said.",
    "The goalkeeper saved two penalties and the team won the cup final.",
    "A new graphics card draws twice as many triangles a second.",
    "Der schnelle braune Fuchs springt über den faulen Hund.",
    "Le prix du pétrole a augmenté; la banque centrale relève ses taux.",
    "한국어 문장도 조금 들어 있습니다. 日本語の文もあります。",
)

# special tokens in the order of their ids: opening, padding, closing, unknown, mask
_BERT = ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_WORDS = frozenset({"bert", "distilbert", "electra", "deberta-v2", "modernbert", "big_bird", "mpnet"})
# what a tokenizer sets around a text, where it is not both an opening and a closing token
_AROUND = {
    "t5": "$A </s>",
    "mt5": "$A </s>",
    "umt5": "$A </s>",
    "pegasus": "$A </s>",
    "m2m_100": "<mask> $A </s>",  # the language's token
    "mbart": "$A </s> <mask>",
    "gpt2": "$A",
    "qwen2": "$A </s>",
    "qwen3": "$A </s>",
    "llama": "<s> $A",
}


def make_encoder(
    folder: Path,
    family: str = "bert",
    hidden: int = 16,
    layers: int = 2,
    positions: int = 64,
    seed: int = 0,
) -> Path:
    """A model folder with config.json, model.safetensors and tokenizer.json; returns `folder`.

    positions: the longest input, special tokens included. The same arguments give the same files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = make_tokenizer(folder, family)
    make_network(folder, family, hidden, layers, positions, vocabulary, seed)
    return folder


def make_tokenizer(folder: Path, family: str = "bert") -> int:
    """tokenizer.json and its config; returns the number of tokens. Padding and truncation are on, as hubs have them."""
    import json

    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    special = _BERT if family in _WORDS - {"mpnet"} else _ROBERTA
    opening, padding, closing, unknown, mask = special
    if family in _WORDS:
        normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
        pieces = [word for text in SENTENCES for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))]
        # the trainer breaks ties by chance; whole words and single characters need none
        letters = {letter for word in pieces for letter in word}
        vocabulary = [*special, *sorted(letters), *sorted(f"##{letter}" for letter in letters)]
        vocabulary += sorted(set(pieces) - letters)
        ids = {piece: number for number, piece in enumerate(vocabulary)}
        tokenizer = Tokenizer(models.WordPiece(ids, unk_token=unknown))
        tokenizer.normalizer, tokenizer.pre_tokenizer = normalizer, splitter
    else:
        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
        tokenizer.decoder = decoders.ByteLevel()
        alphabet = pre_tokenizers.ByteLevel.alphabet()
        trainer = trainers.BpeTrainer(
            vocab_size=500, special_tokens=list(special), initial_alphabet=alphabet, show_progress=False
        )
        tokenizer.train_from_iterator(SENTENCES, trainer)
    tokenizer.add_special_tokens(list(special))
    tokenizer.post_processor = processors.TemplateProcessing(
        single=_AROUND.get(family, f"{opening} $A {closing}"),
        special_tokens=[(opening, 0), (closing, 2), (mask, 4)],
    )
    tokenizer.enable_truncation(max_length=24)
    tokenizer.enable_padding(length=24, pad_id=1, pad_token=padding)
    tokenizer.save(str(folder / "tokenizer.json"))
    names = {
        "cls": opening,
        "bos": opening,
        "pad": padding,
        "sep": closing,
        "eos": closing,
        "unk": unknown,
        "mask": mask,
    }
    settings = {"tokenizer_class": "PreTrainedTokenizerFast"} | {f"{key}_token": name for key, name in names.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps(settings))
    return tokenizer.get_vocab_size()


def make_network(
    folder: Path, family: str, hidden: int, layers: int, positions: int, vocabulary: int, seed: int = 0
) -> None:
    """config.json and model.safetensors with random weights, large enough that context matters."""
    import torch
    from transformers import AutoConfig, AutoModel
    from transformers.utils import logging

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        sizes = _sizes(family, hidden, layers, positions) | {"vocab_size": vocabulary, "pad_token_id": 1}
        network = AutoModel.from_config(AutoConfig.for_model(family, **sizes))
    logging.disable_progress_bar()
    network.save_pretrained(folder)


def _sizes(family: str, hidden: int, layers: int, positions: int) -> dict[str, Any]:
    """The values of a family's config that make a tiny network of it."""
    if family == "distilbert":
        own = {"dim": hidden, "n_layers": layers, "n_heads": 2, "hidden_dim": 2 * hidden}
        return own | {"max_position_embeddings": positions, "initializer_range": 0.5}
    if family == "gpt2":
        own = {"n_embd": hidden, "n_layer": layers, "n_head": 2, "n_positions": positions}
        return own | {"initializer_range": 0.5}
    if family in {"t5", "mt5", "umt5"}:
        own = {"d_model": hidden, "num_layers": layers, "num_decoder_layers": 1, "num_heads": 2, "d_kv": hidden // 2}
        return own | {"d_ff": 2 * hidden, "initializer_factor": 1.0, "relative_attention_num_buckets": 8}
    if family in {"bart", "m2m_100", "mbart", "pegasus"}:
        own = {"d_model": hidden, "encoder_layers": layers, "decoder_layers": 1, "encoder_attention_heads": 2}
        own |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 2 * hidden, "decoder_ffn_dim": 2 * hidden}
        return own | {"max_position_embeddings": positions, "init_std": 0.5}
    # the Roberta family counts positions from the padding id on
    extra = 2 if family in {"roberta", "xlm-roberta", "mpnet", "longformer"} else 0
    sizes: dict[str, Any] = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": positions + extra,
        "initializer_range": 0.5,
    }
    return sizes | _OWN_SIZES.get(family, {}) | ({"embedding_size": hidden // 2} if family == "electra" else {})


_OWN_SIZES: dict[str, dict[str, Any]] = {
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16},
    "longformer": {"attention_window": 4},
    # windows of more than 14 tokens attend to blocks
    "big_bird": {"block_size": 2, "num_random_blocks": 1},
    "modernbert": {"local_attention": 8, "global_attn_every_n_layers": 2},
    "qwen2": {"num_key_value_heads": 1},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 8},
    "llama": {"num_key_value_heads": 1},
}


def make_static(folder: Path, dim: int = 8, quantised: bool = False) -> Path:
    """A static model as model2vec writes it; quantised: rows shared by tokens, with a weight a token."""
    import json

    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tokens = make_tokenizer(folder)
    generator = torch.Generator().manual_seed(0)
    if quantised:
        tensors = {
            "embeddings": torch.randn(tokens // 2, dim, generator=generator).half(),
            "mapping": torch.arange(tokens) % (tokens // 2),
            "weights": torch.rand(tokens, generator=generator, dtype=torch.float64),
        }
    else:
        tensors = {"embeddings": torch.randn(tokens, dim, generator=generator)}
    save_file(tensors, folder / "model.safetensors")
    (folder / "config.json").write_text(json.dumps({"model_type": "model2vec", "hidden_dim": dim, "normalize": True}))
    return folder


def make_sentence_folder(folder: Path, pooling: dict[str, Any], about: dict[str, Any], longest: int | None) -> Path:
    """Writes into an encoder's folder what sentence-transformers does: pooling, prompts, length and normalisation."""
    import json

    kinds = [("", "Transformer"), ("1_Pooling", "Pooling"), ("2_Normalize", "Normalize")]
    modules = [
        {"idx": row, "name": str(row), "path": path, "type": f"sentence_transformers.models.{kind}"}
        for row, (path, kind) in enumerate(kinds)
    ]
    (folder / "1_Pooling").mkdir()
    for name, content in {
        "modules.json": modules,
        "1_Pooling/config.json": pooling,
        "config_sentence_transformers.json": about,
        "sentence_bert_config.json": {"max_seq_length": longest, "do_lower_case": False},
    }.items():
        (folder / name).write_text(json.dumps(content))
    return folder
