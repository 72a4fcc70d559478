"""Tiny encoders of real families: random weights and a trained tokenizer, in a folder as a hub provides it."""

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
_WORDPIECE_FAMILIES = frozenset({"bert", "distilbert", "electra", "deberta-v2", "modernbert", "big_bird", "mpnet"})
# special tokens around a text $A, if they are not one opening and one closing token
_TEMPLATES = {
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
    """Write config.json, model.safetensors and tokenizer.json; the same arguments give the same files.

    Args:
        folder: The model folder; it is made if absent.
        family: The `model_type` of transformers.
        hidden: The size of a vector.
        layers: The number of layers.
        positions: The longest input in tokens, special tokens included.
        seed: The seed of the weights.

    Returns:
        `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = make_tokenizer(folder, family)
    make_network(folder, family, hidden, layers, positions, vocabulary, seed)
    return folder


def make_tokenizer(folder: Path, family: str = "bert") -> int:
    """Write a tokenizer with padding and truncation, as on the hub, and its config; return the number of tokens."""
    import json

    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

    special = _BERT if family in _WORDPIECE_FAMILIES - {"mpnet"} else _ROBERTA
    opening, padding, closing, unknown, mask = special
    if family in _WORDPIECE_FAMILIES:
        normalizer, splitter = normalizers.BertNormalizer(lowercase=True), pre_tokenizers.BertPreTokenizer()
        pieces = [word for text in SENTENCES for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text))]
        # the trainer breaks ties at random, so the vocabulary is whole words and single characters without a trainer
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
        single=_TEMPLATES.get(family, f"{opening} $A {closing}"),
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
    config = {"tokenizer_class": "PreTrainedTokenizerFast"} | {f"{key}_token": name for key, name in names.items()}
    (folder / "tokenizer_config.json").write_text(json.dumps(config))
    return tokenizer.get_vocab_size()


def make_network(
    folder: Path, family: str, hidden: int, layers: int, positions: int, vocabulary: int, seed: int = 0
) -> None:
    """Write config.json and model.safetensors; the random weights are large enough that context matters."""
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
    """Return the values of a family's config that make its network tiny."""
    if family == "distilbert":
        values = {"dim": hidden, "n_layers": layers, "n_heads": 2, "hidden_dim": 2 * hidden}
        return values | {"max_position_embeddings": positions, "initializer_range": 0.5}
    if family == "gpt2":
        values = {"n_embd": hidden, "n_layer": layers, "n_head": 2, "n_positions": positions}
        return values | {"initializer_range": 0.5}
    if family in {"t5", "mt5", "umt5"}:
        values = {"d_model": hidden, "num_layers": layers, "num_decoder_layers": 1, "num_heads": 2, "d_kv": hidden // 2}
        return values | {"d_ff": 2 * hidden, "initializer_factor": 1.0, "relative_attention_num_buckets": 8}
    if family in {"bart", "m2m_100", "mbart", "pegasus"}:
        values = {"d_model": hidden, "encoder_layers": layers, "decoder_layers": 1, "encoder_attention_heads": 2}
        values |= {"decoder_attention_heads": 2, "encoder_ffn_dim": 2 * hidden, "decoder_ffn_dim": 2 * hidden}
        return values | {"max_position_embeddings": positions, "init_std": 0.5}
    # in the RoBERTa family, positions start after the padding id
    extra = 2 if family in {"roberta", "xlm-roberta", "mpnet", "longformer"} else 0
    sizes: dict[str, Any] = {
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": positions + extra,
        "initializer_range": 0.5,
    }
    return sizes | _FAMILY_SIZES.get(family, {}) | ({"embedding_size": hidden // 2} if family == "electra" else {})


_FAMILY_SIZES: dict[str, dict[str, Any]] = {
    "deberta-v2": {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16},
    "longformer": {"attention_window": 4},
    # windows of more than 14 tokens attend to blocks
    "big_bird": {"block_size": 2, "num_random_blocks": 1},
    "modernbert": {"local_attention": 8, "global_attn_every_n_layers": 2},
    "qwen2": {"num_key_value_heads": 1},
    "qwen3": {"num_key_value_heads": 1, "head_dim": 8},
    "llama": {"num_key_value_heads": 1},
}


def make_static(folder: Path, dim: int = 8, quantized: bool = False) -> Path:
    """Write a static model as model2vec does; quantized: tokens share rows, with one weight per token."""
    import json

    import torch
    from safetensors.torch import save_file

    folder.mkdir(parents=True, exist_ok=True)
    tokens = make_tokenizer(folder)
    generator = torch.Generator().manual_seed(0)
    if quantized:
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


def make_sentence_transformers_folder(
    folder: Path, pooling: dict[str, Any], config: dict[str, Any], max_length: int | None
) -> Path:
    """Add the files of sentence-transformers to an encoder's folder.

    Args:
        folder: The folder of the encoder.
        pooling: The config of the pooling module.
        config: The content of config_sentence_transformers.json, such as prompts.
        max_length: `max_seq_length`, or None.

    Returns:
        `folder`.
    """
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
        "config_sentence_transformers.json": config,
        "sentence_bert_config.json": {"max_seq_length": max_length, "do_lower_case": False},
    }.items():
        (folder / name).write_text(json.dumps(content))
    return folder


def add_to_hub_cache(cache: Path, name: str, folder: Path, commit: str, *revisions: str) -> Path:
    """Add a model folder to a cache laid out as that of huggingface_hub.

    Args:
        cache: The folder of the cache, as HF_HUB_CACHE names it.
        name: The name on the hub, as in "someone/tiny".
        folder: The model folder; the snapshot is a link to it.
        commit: 40 hex digits.
        revisions: Branches and tags that point to the commit.

    Returns:
        The snapshot.
    """
    home = cache / f"models--{name.replace('/', '--')}"
    for part in ("snapshots", "refs"):
        (home / part).mkdir(parents=True, exist_ok=True)
    snapshot = home / "snapshots" / commit
    snapshot.symlink_to(folder, target_is_directory=True)
    for revision in revisions:
        (home / "refs" / revision).write_text(commit)
    return snapshot
