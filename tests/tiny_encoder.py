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

# family -> (special tokens in the order of their ids: opening, padding, closing, unknown, mask)
_BERT = ("[CLS]", "[PAD]", "[SEP]", "[UNK]", "[MASK]")
_ROBERTA = ("<s>", "<pad>", "</s>", "<unk>", "<mask>")
_SPECIAL = {
    "bert": _BERT,
    "distilbert": _BERT,
    "electra": _BERT,
    "deberta-v2": _BERT,
    "roberta": _ROBERTA,
    "xlm-roberta": _ROBERTA,
    "mpnet": _ROBERTA,
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

    opening, padding, closing, unknown, mask = special = _SPECIAL[family]
    if special is _BERT or family == "mpnet":
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
        single=f"{opening} $A {closing}", special_tokens=[(opening, 0), (closing, 2)]
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

    # the Roberta family counts positions from the padding id on
    extra = 2 if family in {"roberta", "xlm-roberta", "mpnet"} else 0
    sizes: dict[str, Any] = {
        "vocab_size": vocabulary,
        "hidden_size": hidden,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 2 * hidden,
        "max_position_embeddings": positions + extra,
        "initializer_range": 0.5,
        "pad_token_id": 1,
    }
    if family == "distilbert":
        sizes |= {"dim": hidden, "n_layers": layers, "n_heads": 2, "hidden_dim": 2 * hidden}
        for name in ("hidden_size", "num_hidden_layers", "num_attention_heads", "intermediate_size"):
            del sizes[name]
    if family == "electra":
        sizes["embedding_size"] = hidden // 2
    if family == "deberta-v2":
        sizes |= {"relative_attention": True, "pos_att_type": ["p2c", "c2p"], "position_buckets": 16}
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = AutoModel.from_config(AutoConfig.for_model(family, **sizes))
    logging.disable_progress_bar()
    network.save_pretrained(folder)
