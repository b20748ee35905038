from pathlib import Path
from typing import Any

import pytest
from transformers import AutoProcessor

from mics_ray.assemble.locations import resolve_embedded
from mics_ray.errors import RefusedRun
from mics_ray.models.engine.conversation import build_conversation
from mics_ray.models.pictures.reading import decode_picture
from mics_ray.models.types import Request
from tests.support.tiny_training import record, write_stage
from train.backends.peft.data import IGNORED, EncodedRecords, Encoder, collate_samples
from train.backends.peft.records import Records, TrainingRecord, Turn
from train.stages import read_stages

pytestmark = pytest.mark.heavy

ANSWER = "### Step 1: White.\n\n### The final answer is: Pneumonia"


@pytest.fixture(scope="module")
def processor() -> Any:
    return AutoProcessor.from_pretrained(resolve_embedded("embedded:interns/internvl"))


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    write_stage(tmp_path, [record(1)])
    return tmp_path / "images/1.png"


def talk(*turns: tuple[str, str], pictures: tuple[Path, ...] = ()) -> TrainingRecord:
    return TrainingRecord("r7", pictures, tuple(Turn(role, text) for role, text in turns))


def encoder(processor: Any, max_length: int = 4096, max_tiles: int = 1) -> Encoder:
    return Encoder(processor, max_tiles, max_length)


def test_only_the_answer_and_its_end_token_are_learnt(processor: Any, picture: Path) -> None:
    sample = encoder(processor).encode_record(
        talk(("user", "<image>\nWhat?"), ("assistant", ANSWER), pictures=(picture,))
    )
    ids = processor.tokenizer
    prompt = ids("<|im_start|>user\n<img>" + "<IMG_CONTEXT>" * 4 + "</img>\nWhat?<|im_end|>\n<|im_start|>assistant\n")
    answer = ids(ANSWER)["input_ids"] + [ids.convert_tokens_to_ids("<|im_end|>")]
    assert sample.ids.tolist() == prompt["input_ids"] + answer
    assert sample.labels.tolist() == [IGNORED] * len(prompt["input_ids"]) + answer
    assert sample.tiles is not None
    assert sample.tiles.shape == (1, 3, 56, 56)


@pytest.mark.parametrize("pictures", [0, 1, 3])
def test_the_prompt_is_token_for_token_what_an_intern_is_asked(processor: Any, picture: Path, pictures: int) -> None:
    asked = Request("", "", "", "", "Which finding\n\n## is it?", "", 0.0, 1, 0)
    shown = [decode_picture(picture.read_bytes())] * pictures
    messages = build_conversation(asked, shown)
    for part in messages[0]["content"]:
        if part["type"] == "image_pil":  # vLLM's word for it; its renderer hands the template `image`
            part |= {"type": "image", "image": part.pop("image_pil")}
    served = processor.apply_chat_template(messages, add_generation_prompt=True, tokenize=True, return_dict=True)
    turns = (("user", "<image>\n" * pictures + asked.text), ("assistant", ANSWER))
    sample = encoder(processor).encode_record(talk(*turns, pictures=(picture,) * pictures))
    prompt = sample.ids[sample.labels == IGNORED].tolist()
    expected = served["input_ids"]
    assert prompt == list(expected[0] if isinstance(expected[0], list) else expected)


def test_every_answer_of_a_longer_talk_is_learnt_and_the_system_is_not(processor: Any, picture: Path) -> None:
    turns = (("system", "Be brief."), ("user", "<image>\nA?"), ("assistant", "one"), ("user", "<image>\nB?"))
    sample = encoder(processor).encode_record(talk(*turns, ("assistant", "two"), pictures=(picture, picture)))
    learnt = processor.tokenizer.decode(sample.ids[sample.labels != IGNORED])
    assert learnt == "one<|im_end|>two<|im_end|>"
    whole = processor.tokenizer.decode(sample.ids)
    assert whole.startswith("<|im_start|>system\nBe brief.<|im_end|>\n<|im_start|>user\n<img>")
    assert whole.count("</img>\n") == 2
    assert (sample.labels[sample.labels != IGNORED] == sample.ids[sample.labels != IGNORED]).all()


def test_pictures_are_cut_into_the_tiles_that_are_asked_for(processor: Any, picture: Path, tmp_path: Path) -> None:
    wide = tmp_path / "wide.png"
    decode_picture(picture.read_bytes()).resize((224, 112)).save(wide)
    turns = (("user", "<image>\nWhat?"), ("assistant", ANSWER))
    for most, tiles in ((1, 1), (2, 3), (6, 3)):  # a thumbnail beside the tiles
        sample = encoder(processor, max_tiles=most).encode_record(talk(*turns, pictures=(wide,)))
        assert sample.tiles is not None
        assert len(sample.tiles) == tiles
        assert int((sample.ids == processor.image_token_id).sum()) == 4 * tiles


def test_a_record_that_does_not_fit_is_refused_with_its_id(processor: Any, picture: Path) -> None:
    long = talk(("user", "<image>\nWhat?"), ("assistant", ANSWER), pictures=(picture,))
    tokens = len(encoder(processor).encode_record(long).ids)
    encoder(processor, tokens).check_length(long)
    with pytest.raises(RefusedRun, match=rf"record r7: {tokens} tokens, train.max_seq_length is {tokens - 1}"):
        encoder(processor, tokens - 1).check_length(long)


def test_text_that_adds_a_picture_token_is_refused_without_being_quoted(processor: Any, picture: Path) -> None:
    odd = talk(("user", "<image>\nSECRET <IMG_CONTEXT>"), ("assistant", ANSWER), pictures=(picture,))
    with pytest.raises(RefusedRun, match=r"record r7: text and pictures do not fit") as refused:
        encoder(processor).encode_record(odd)
    assert "SECRET" not in str(refused.value)


def test_a_broken_picture_is_refused_with_record_and_path(processor: Any, picture: Path) -> None:
    picture.write_bytes(picture.read_bytes()[:200])
    broken = talk(("user", "<image>\nWhat?"), ("assistant", ANSWER), pictures=(picture,))
    with pytest.raises(RefusedRun, match=r"record r7: cannot read picture .*1\.png"):
        encoder(processor).encode_record(broken)


def test_a_batch_is_padded_on_the_right(processor: Any, tmp_path: Path) -> None:
    write_stage(tmp_path, [record(1), record(2, 0, answer="short"), record(3, 2)])
    found = EncodedRecords(Records(read_stages(tmp_path)[0].entries), encoder(processor))
    samples = [found[number] for number in range(3)]
    batch = collate_samples(samples, pad=0)
    for row, sample in enumerate(samples):
        assert not isinstance(sample, RefusedRun)
        length = len(sample.ids)
        assert batch["input_ids"][row, :length].tolist() == sample.ids.tolist()
        assert batch["labels"][row, :length].tolist() == sample.labels.tolist()
        assert set(batch["input_ids"][row, length:].tolist()) <= {0}
        assert set(batch["labels"][row, length:].tolist()) <= {IGNORED}
    assert batch["pixel_values"].shape == (3, 3, 56, 56)
    assert "pixel_values" not in collate_samples([samples[1]], pad=0)
    assert found[0] is samples[0]


def test_a_refusal_inside_a_batch_is_raised_from_it(processor: Any, tmp_path: Path) -> None:
    write_stage(tmp_path, [record(1), record(2)])
    found = EncodedRecords(Records(read_stages(tmp_path)[0].entries), encoder(processor, max_length=10))
    with pytest.raises(RefusedRun, match="record phantom-1"):
        collate_samples([found[0]], pad=0)
    assert isinstance(found[1], RefusedRun)
