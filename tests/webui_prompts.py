"""Prompts as AUTOMATIC1111's web UI reads them, written anew with torch and transformers: the tests' judge.

By what that UI does with its default settings: emphasis "original", commas within 20 tokens of a chunk's end, one final
layer norm after clip skip. Nothing here is the package's.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from transformers import CLIPTextModel, CLIPTokenizer

NUMBER = set("+-.0123456789")


@dataclass
class Word:
    text: str
    factors: list[float] = field(default_factory=list)

    @property
    def weight(self) -> float:
        result = 1.0
        for factor in self.factors:
            result *= factor
        return result


def number_before_bracket(text: str, place: int) -> tuple[float, int] | None:
    """Of ``: 1.3 )`` at a place the number, and where it ends."""
    end = text.find(")", place)
    number = text[place + 1 : end].strip() if end >= 0 else ""
    if not number or not set(number) <= NUMBER:
        return None
    try:
        return float(number), end + 1
    except ValueError:
        return None


def is_of_a_word(letter: str) -> bool:
    return letter.isalnum() or letter == "_"


def words_of(text: str) -> list[Word | None]:
    """Letters with the factors of their brackets; None for BREAK. Letter by letter, where others match expressions."""
    words: list[Word | None] = []
    rounds: list[int] = []
    squares: list[int] = []
    place = 0

    def end(opened: list[int], factor: float) -> None:
        for word in words[opened.pop() :]:
            if word is not None:
                word.factors.append(factor)

    while place < len(text):
        letter = text[place]
        if letter == "\\":
            escaped = text[place + 1 : place + 2]
            if escaped and escaped in "()[]\\":
                words.append(Word(escaped))
                place += 1
        elif letter == "(":
            rounds.append(len(words))
        elif letter == "[":
            squares.append(len(words))
        elif letter == ")" and rounds:
            end(rounds, 1.1)
        elif letter == "]" and squares:
            end(squares, 1 / 1.1)
        elif letter == ":" and rounds and (found := number_before_bracket(text, place)):
            end(rounds, found[0])
            place = found[1] - 1
        elif text.startswith("BREAK", place) and not any(map(is_of_a_word, (text[:place][-1:], text[place + 5 :][:1]))):
            words.append(None)
            place += 4
        else:
            words.append(Word(letter))
        place += 1
    while rounds:
        end(rounds, 1.1)
    while squares:
        end(squares, 1 / 1.1)
    return words


def segments_of(text: str) -> list[tuple[str, float] | None]:
    """Neighbours of the same weight together."""
    segments: list[tuple[str, float] | None] = []
    for word in words_of(text):
        last = segments[-1] if segments else None
        if word is None:
            segments.append(None)
        elif last is not None and abs(last[1] - word.weight) < 1e-9:
            segments[-1] = (last[0] + word.text, last[1])
        else:
            segments.append((word.text, word.weight))
    return segments


def chunks_of(text: str, tokenizer: CLIPTokenizer) -> list[list[tuple[int, float]]]:
    """Tokens with their weights, 75 to a chunk at most."""
    comma = tokenizer.convert_tokens_to_ids(",</w>")
    chunks: list[list[tuple[int, float]]] = [[]]
    comma_at: int | None = None
    for segment in segments_of(text):
        if segment is None:
            chunks.append([])
            comma_at = None
            continue
        for token in tokenizer(segment[0], add_special_tokens=False).input_ids:
            chunk = chunks[-1]
            if token == comma:
                comma_at = len(chunk)
            elif len(chunk) == 75 and comma_at is not None and 75 - comma_at <= 20:
                chunks.append(chunk[comma_at + 1 :])
                del chunk[comma_at + 1 :]
                comma_at = None
            if len(chunks[-1]) == 75:
                chunks.append([])
                comma_at = None
            chunks[-1].append((token, segment[1]))
    return chunks[:-1] if len(chunks) > 1 and not chunks[-1] else chunks


def states_of(
    text: str, tokenizer: CLIPTokenizer, model: CLIPTextModel, clip_skip: int = 1, chunks: int = 1
) -> torch.Tensor:
    """Text states [1, 77 n, D], filled up with chunks of the empty prompt."""
    found = chunks_of(text, tokenizer)
    states = []
    for chunk in found + [[] for _ in range(chunks - len(found))]:
        padding = [(tokenizer.pad_token_id, 1.0)] * (75 - len(chunk))
        row = [(tokenizer.bos_token_id, 1.0), *chunk, (tokenizer.eos_token_id, 1.0), *padding]
        with torch.no_grad():
            hidden = model(torch.tensor([[token for token, _ in row]]), output_hidden_states=True).hidden_states
            norm = getattr(model, "text_model", model).final_layer_norm
            z = norm(hidden[-clip_skip])
        weighted = z * torch.tensor([weight for _, weight in row])[None, :, None]
        states.append(weighted * (z.mean() / weighted.mean()))
    return torch.cat(states, 1)
