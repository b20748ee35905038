"""From records to tensors: the model's own chat template and processor, labels on the assistant's turns only."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from mics_ray.errors import RefusedRun
from mics_ray.models.pictures.reading import decode_picture
from train.backends.peft.records import PLACEHOLDER, Records, TrainingRecord

IGNORED = -100
CACHE_BYTES = 256 * 2**20
"""Of tensors kept for repeats and further passes, per process."""


@dataclass(frozen=True, slots=True)
class EncodedSample:
    """``ids`` and ``labels``: (tokens,), int64, ``labels`` -100 where nothing is learnt; ``tiles``: (tiles, 3, side,
    side), ``None`` without pictures."""

    ids: torch.Tensor
    labels: torch.Tensor
    tiles: torch.Tensor | None

    @property
    def size_bytes(self) -> int:
        """Memory of the tensors."""
        tensors = (self.ids, self.labels, self.tiles)
        return sum(tensor.nbytes for tensor in tensors if tensor is not None)


@dataclass(frozen=True, slots=True)
class Segment:
    """A piece of a rendered conversation; ``pictures`` of the record are in it."""

    text: str
    learnt: bool
    pictures: int


class Encoder:
    """Turns records into samples with a model's processor. Every picture is cut into at most ``max_tiles`` tiles."""

    def __init__(self, processor: Any, max_tiles: int, max_length: int) -> None:
        self._processor, self._max_length = processor, max_length
        self._cut = {"crop_to_patches": True, "min_patches": 1, "max_patches": max_tiles}

    def encode_record(self, record: TrainingRecord) -> EncodedSample:
        """The tensors of a record. Raises :class:`RefusedRun` naming a record that does not fit or cannot be read."""
        ids: list[int] = []
        labels: list[int] = []
        tiles: list[torch.Tensor] = []
        pictures = list(record.pictures)
        for segment in self.cut_segments(record):
            shown, pictures = pictures[: segment.pictures], pictures[segment.pictures :]
            tokens, pixels = self._tokenize_segment(record, segment, shown)
            ids += tokens
            labels += tokens if segment.learnt else [IGNORED] * len(tokens)
            tiles += pixels
        self._check_fits(record, len(ids))
        return EncodedSample(torch.tensor(ids), torch.tensor(labels), torch.cat(tiles) if tiles else None)

    def check_length(self, record: TrainingRecord) -> None:
        """Raise :class:`RefusedRun` naming a record longer than allowed, opening pictures only where it may be."""
        texts = self.cut_segments(record)
        # One tile more is the thumbnail, two tokens more are start and end of a picture.
        most_a_picture = self._processor.image_seq_length * (self._cut["max_patches"] + 1) + 2
        # No byte-level tokenizer makes more tokens than there are bytes.
        if sum(len(part.text.encode()) for part in texts) + most_a_picture * len(record.pictures) > self._max_length:
            self.encode_record(record)

    def cut_segments(self, record: TrainingRecord) -> list[Segment]:
        """The conversation as the chat template writes it, cut where learning begins and ends."""
        messages: list[dict[str, Any]] = []
        found: list[Segment] = []
        done = ""
        for turn in record.turns:
            if turn.role == "assistant":
                prompt = self._render_chat(messages, True)
                # Those of earlier turns stand in the segments before this one.
                pictures = _count_pictures(messages) - sum(segment.pictures for segment in found)
                found.append(Segment(_text_after(prompt, done, record), False, pictures))
                messages.append({"role": turn.role, "content": _content_parts(turn.text)})
                # Templates write a line break behind the end token; generation stops before it, so it is not learnt.
                done = self._render_chat(messages, False).rstrip()
                found.append(Segment(self._with_end_token(_text_after(done, prompt, record)), True, 0))
            else:
                messages.append({"role": turn.role, "content": _content_parts(turn.text)})
        return found

    def _render_chat(self, messages: Sequence[dict[str, Any]], prompt: bool) -> str:
        return str(self._processor.apply_chat_template(list(messages), add_generation_prompt=prompt, tokenize=False))

    def _with_end_token(self, text: str) -> str:
        """An answer with its end token, also where the template writes none."""
        tokenizer = self._processor.tokenizer
        return text if text.endswith(tuple(tokenizer.all_special_tokens)) else text + tokenizer.eos_token

    def _tokenize_segment(
        self, record: TrainingRecord, segment: Segment, paths: Sequence[Path]
    ) -> tuple[list[int], list[torch.Tensor]]:
        if not paths:
            return list(self._processor.tokenizer(segment.text, add_special_tokens=False)["input_ids"]), []
        images = [_decode_picture(record, path) for path in paths]
        try:
            made = self._processor(images=images, text=segment.text, return_tensors="pt", **self._cut)
        except (ValueError, IndexError, StopIteration) as error:
            # Their messages may quote the text.
            raise RefusedRun(f"record {record.id}: text and pictures do not fit ({type(error).__name__})") from None
        return made["input_ids"][0].tolist(), [made["pixel_values"]]

    def _check_fits(self, record: TrainingRecord, tokens: int) -> None:
        if tokens > self._max_length:
            raise RefusedRun(
                f"record {record.id}: {tokens} tokens, train.max_seq_length is {self._max_length}; raise it, lower "
                "train.max_tiles, or leave the record out of the export"
            )


def _decode_picture(record: TrainingRecord, path: Path) -> Any:
    try:
        return decode_picture(path.read_bytes())
    except Exception as error:  # Pillow's readers raise whatever a broken file leads them to
        raise RefusedRun(f"record {record.id}: cannot read picture {path} ({type(error).__name__})") from None


def _content_parts(text: str) -> list[dict[str, str]]:
    """A turn as the content parts of a chat: ``<image>`` lines become pictures."""
    parts: list[dict[str, str]] = []
    for piece in re.split(f"({PLACEHOLDER}\n?)", text):
        if piece.startswith(PLACEHOLDER):
            parts.append({"type": "image"})
        elif piece:
            parts.append({"type": "text", "text": piece})
    return parts


def _count_pictures(messages: Sequence[dict[str, Any]]) -> int:
    return sum(part["type"] == "image" for message in messages for part in message["content"])


def _text_after(text: str, start: str, record: TrainingRecord) -> str:
    if not text.startswith(start):
        raise RefusedRun(f"record {record.id}: the chat template renders a finished turn in another way than a prompt")
    return text[len(start) :]


class EncodedRecords(torch.utils.data.Dataset[EncodedSample | RefusedRun]):
    """Samples by number. A refusal is returned, not raised, so that it comes whole out of a loader's process."""

    def __init__(self, records: Records, encoder: Encoder) -> None:
        self._records, self._encoder = records, encoder
        self._kept: dict[int, EncodedSample] = {}
        self._room = CACHE_BYTES

    def __len__(self) -> int:
        return len(self._records)

    def __getitem__(self, number: int) -> EncodedSample | RefusedRun:
        line = self._records.line_number(number)
        if (kept := self._kept.get(line)) is not None:
            return kept
        try:
            sample = self._encoder.encode_record(self._records[number])
        except RefusedRun as refused:
            return refused
        if sample.size_bytes <= self._room:
            self._room -= sample.size_bytes
            self._kept[line] = sample
        return sample


def collate_samples(samples: Sequence[EncodedSample | RefusedRun], pad: int) -> dict[str, torch.Tensor]:
    """One batch: `input_ids` and `labels` of shape (samples, tokens), `pixel_values` of shape (tiles, 3, side, side)
    where any sample has pictures. Raises a refusal that is among ``samples``.

    Padding is on the right, where causal attention never looks, so a batch needs no mask.
    """
    kept = []
    for sample in samples:
        if isinstance(sample, RefusedRun):
            raise sample
        kept.append(sample)
    fill = torch.nn.utils.rnn.pad_sequence
    ids = fill([sample.ids for sample in kept], batch_first=True, padding_value=pad)
    labels = fill([sample.labels for sample in kept], batch_first=True, padding_value=IGNORED)
    batch = {"input_ids": ids, "labels": labels}
    tiles = [sample.tiles for sample in kept if sample.tiles is not None]
    return batch | ({"pixel_values": torch.cat(tiles)} if tiles else {})
