"""Trains the demo's byte-level BPE in the file format of CLIP's tokenizer."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, trainers

START, END = "<|startoftext|>", "<|endoftext|>"


def train_tokenizer(captions: Iterable[str], folder: Path, vocab_size: int = 768) -> None:
    """Writes ``vocab.json``, ``merges.txt`` and the two config files that transformers reads.

    CLIP's vocabulary is ordered: 256 byte symbols, the same 256 with ``</w>``, one entry per
    merge, then the two special tokens. Loaders rely on that order, so it is written here
    explicitly rather than taken from the trainer.
    """
    trainee = Tokenizer(models.BPE(end_of_word_suffix="</w>"))
    trainee.normalizer = normalizers.Lowercase()
    trainee.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)
    # ByteLevel marks spaces; CLIP drops them. Words are split before training instead.
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    trainee.pre_tokenizer = pre_tokenizers.Sequence(
        [pre_tokenizers.Whitespace(), pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)]
    )
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size - 512 + 256 - 2,
        initial_alphabet=alphabet,
        end_of_word_suffix="</w>",
        show_progress=False,
    )
    trainee.train_from_iterator(captions, trainer)
    merges = [
        pair if isinstance(pair, str) else " ".join(pair) for pair in json.loads(trainee.to_str())["model"]["merges"]
    ]
    # The trainer may merge "x</w>" with nothing else than CLIP would; keep each merge's product once.
    words = [*alphabet, *(symbol + "</w>" for symbol in alphabet)]
    known = set(words)
    kept = []
    for merge in merges:
        left, right = merge.split(" ")
        if left in known and right in known and left + right not in known:
            kept.append(merge)
            words.append(left + right)
            known.add(left + right)
    words += [START, END]
    folder.mkdir(parents=True, exist_ok=True)
    vocab = {word: index for index, word in enumerate(words)}
    (folder / "vocab.json").write_text(json.dumps(vocab, ensure_ascii=False), "utf-8")
    (folder / "merges.txt").write_text("\n".join(["#version: 0.2", *kept]) + "\n", "utf-8")
    special = {"bos_token": START, "eos_token": END, "unk_token": END, "pad_token": END}
    (folder / "special_tokens_map.json").write_text(json.dumps(special, indent=2) + "\n", "utf-8")
    config = {
        "tokenizer_class": "CLIPTokenizer",
        "model_max_length": 77,
        "do_lower_case": True,
        "add_prefix_space": False,
        "errors": "replace",
        **special,
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", "utf-8")
