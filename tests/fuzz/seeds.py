"""Valid inputs of every kind, small, from which the nearly valid ones are made."""

import io
import json
from functools import cache
from pathlib import Path

import nibabel
import numpy as np
import pydicom
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, RLELossless

CHAINS = [
    b"### Step 1: The film is good.\n\n### Step 2: A line runs along a rib.\n\n### The final answer is: Pneumothorax",
    b"**Reasoning**\n### **Step 1/3: Look.** A line.\n## step 2 - dark <image>\n\n### Final answer: **No**\n# more",
    b"### Step 1:\nAccording to the report,\n- a line\n- <|image_pad|>\n### The final answer is\nAnswer: Pneumothorax",
    "### Step 12. Épanchement\u202e <IMG_CONTEXT> «x»\r\n### THE FINAL ANSWER IS: 気胸 (pneumothorax)".encode(),
    b"<think>\n### Step 1: Draft.\n### The final answer is: Bulla\n</think>\n\n### Step 1: Look.\n**Final answer:** No",
    b"A rib. [THINK]no[/THINK]\n## step 1: so\nThe answer is $\\boxed{\\text{No}}$.\n1. Answer: <your answer>",
    "**Step 1:** Look:\n1. a\n2. b\n\nStep two - Think. Step 3: So.\n第4步：x\n\n**Answer:** Bulla".encode(),
    b"1. Look.\n2) Think.\n   1. a\n\n**3.** So.\n4. Final answer: Bulla",
    b'### Step 1: Look.\n<answer>\n"Pneumothorax"\n</answer>\n{"final_answer": "No"}\n## Final Answer\n\nBulla',
    "analysisWe see it.assistantfinal### Step 1: a ◁think▷b◁/think▷\n最终答案：气胸".encode(),
]
CHAIN_TOKENS = (
    b"**Step 1:** ", b"\nStep two - ", b"\n1. ", b"\n2) ", "\n第1步：".encode(),
    b"### Step 1: ", b"### Step 2:", b"## step", b"###", b"#", b"**", b"*", b"### The final answer is:",
    b"final answer",
    b"<image>", b"<img>", b"<|im_start|>", b"<|", b"|>", b"<", b">", b"\r\n", b"\n", b"9" * 5, b"\0", b"\xff",
    b"<think>", b"</think>", b"`</think>`", b"<|channel|>final<|message|>", b"**Answer:**", b"\\boxed{", b"}",
    b"<answer>", b"</answer>", b"The answer is ", b"[answer]", b"\n\n", b"?",
    b"Pneumothorax", b"the report says", b"answer is no.", b"(", b")", b"_", " \u0301".encode(), "ﬃİß".encode(),
)  # fmt: skip
VERDICTS = [
    b"Yes", b"No.", b"**Verdict:** Yes, they mean the same.", b'{"match": "no"}', b"Yes and no.",
    b"Do they? No - the side.",
    b"The reference answer is yes. So: no", "**Yes**\u2014same".encode(), b"Answer: yes\nNo, wait.",
    b"Not yes", b"eyes", b'{"same": true, "reason": "one disease"}', b"Therefore, yes.", b"$\\boxed{\\text{No}}$",
    b"<think>\nYes?\n</think>\n\nNo. However, they match.", b"Answer to check:\nNo\n\nVerdict:\n**Yes**",
]  # fmt: skip
VERDICT_TOKENS = (
    b"yes",
    b"no",
    b"not",
    b"Verdict:",
    b"answer is",
    b"?",
    b".",
    b"\n",
    b"*",
    b'"',
    b"(",
    b",",
    b"but",
    b"\xff",
    b"<think>",
    b"</think>",
    b"true",
    b"they differ",
    b"{",
    b"}",
)
_REPLY = {
    "choices": [{"message": {"role": "assistant", "content": "### Step 1: x"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 10, "completion_tokens": 5},
}
_REPLIES = [
    _REPLY,
    {"choices": [{"message": {"content": None, "refusal": "no"}, "finish_reason": "content_filter"}], "usage": None},
    {"choices": [{"message": {"content": None}, "finish_reason": "length"}]},
    {"error": {"message": "The model `x` does not exist", "code": "model_not_found", "type": "invalid_request_error"}},
    [{"error": {"code": 429, "message": "quota", "status": "RESOURCE_EXHAUSTED"}}],
    {"error": "too long"},
    {
        "choices": [
            {
                "message": {"content": [{"type": "thinking", "thinking": "x"}, {"type": "text", "text": "y"}]},
                "finish_reason": "error",
                "error": {"code": 502, "message": "x", "metadata": {"raw": "y", "retry_after": 3}},
            }
        ],
        "usage": {
            "prompt_tokens": 1.0,
            "completion_tokens": "7",
            "total_tokens": 30,
            "prompt_tokens_details": {"cached_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 5},
        },
    },
    {"error": {"code": 429, "message": "try again in 1m30s", "details": [{"@type": "RetryInfo", "retryDelay": "34s"}]}},
    {"detail": [{"loc": ["body", "seed"], "msg": "extra"}]},
    {"base_resp": {"status_code": 1008, "status_msg": "insufficient balance"}},
]
_HEADS = [
    b"200\n\n\n", b"429\n12.5\n\n", b"503\nWed, 25 Nov 2026 10:00:07 GMT\nWed, 25 Nov 2026 10:00:00 GMT\n",
    b"400\nWednesday, 25-Nov-26 10:00:07 +0100\nWed Nov 25 10:00:00 2026\n", b"404\n-1\n\n",
]  # fmt: skip
REPLIES = [head + json.dumps(body).encode() for head in _HEADS for body in _REPLIES]
REPLY_TOKENS = (
    b"null", b"-1", b"1e999", b"9" * 25, b"[]", b"{}", b'"', b"\\ud800", b"\\u0000", b"true", b"NaN", b"1.5",
    b"\xff", b",",
    b"[" * 3000, b"9" * 5000, b"GMT", b"-2359", b"+99999", b"99999999999", b"<html>", b"\n", b"0",
)  # fmt: skip
_REFUSALS = (
    "Unsupported parameter: 'max_tokens'. Use 'max_completion_tokens' instead.",
    "temperature does not support 1.2; seed: extra fields; unknown variant `image_url`",
    "max_tokens is too large: 16384. This model supports at most 8192 completion tokens; range [1, 8192]",
    "This model's maximum context length is 8192 tokens. However, you requested 17 tokens (1000 in the messages, 16)",
    "enable_thinking must be set to false; insufficient_quota; Allocated quota exceeded; retry after 34 seconds",
)
REFUSALS = [
    b"\n".join([status, hint, json.dumps({"error": {"message": words, "code": code}}).encode()])
    for status, hint in (
        (b"400", b"1m30s"),
        (b"429", b"1764000030"),
        (b"403", b"2026-11-24T16:00:30Z"),
        (b"404", b"6ms"),
    )
    for words, code in zip(_REFUSALS, (None, 400, "1113", "seed", 429), strict=True)
]
REFUSAL_TOKENS = (
    *REPLY_TOKENS, b"ms", b"s", b"1h", b"1e999", b"max_tokens", b"seed", b"temperature", b"image_url", b"sk-canary-key",
    b"\\u202e", b"\\u001b[31m", b"not found", b"model", b"balance", b"moderation", b"api key",
)  # fmt: skip
_CASE = {
    "rid": "17",
    "messages": [
        {"role": "user", "content": "**Question:** What is it?"},
        {"role": "assistant", "content": "**Correct Answer:** A bulla"},
    ],
    "images": ["17/0.png"],
    "presentation": "Pain.", "age_label": "45 years", "gender_label": "Male",
    "caption": ["According to the <image>\n<image>\n, a line.<br/>Another."],
}  # fmt: skip
_SMALL = {"id": 3, "messages": _CASE["messages"]}
_FLAT = {
    "id": "f",
    "question": "<image>\nWhat?",
    "answers": ["B", "x"],
    "options": {"A": "x", "B": "y"},
    "img": "a.png",
}
_SHARED = {
    "id": "s",
    "conversations": [
        {"from": "human", "value": [{"type": "image", "image": "a.png"}, {"type": "text", "text": "What?"}]},
        {"from": "gpt", "value": "A"},
    ],
}
_LINES = [
    json.dumps(one, ensure_ascii=False).encode()
    for one in (_CASE, _SMALL, _CASE | {"rid": "ä 2", "age_label": 45.5}, _FLAT, _SHARED)
]
CASES = [
    b"\n".join(_LINES),
    _LINES[0],
    b"\xef\xbb\xbf" + _LINES[1] + b"\r\n\r\n" + _LINES[2] + b"\n",
    b"[" + b",\n ".join(_LINES) + b"]",
    b"\n[" + _LINES[1] + b"]\n",
]
CASE_TOKENS = (
    b"\n", b"\r", b"\0", b"\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\\ud800", b"\\u0000", b'"', b"\\", b"{",
    b"}", b"[", b"]",
    b",", b"null", b"NaN", b"1e999", b"9" * 5000, b"[" * 3000, b"../", b"/", b"C:", b"http://", b'"rid": "line-2", ',
    b'"id": "17", ', b"true", b"<image>", b"\x1f\x8b", b"PAR1",
)  # fmt: skip
OVERRIDES = [
    b"experiment=demo\nrun.dir=runs/x\nsearch.max_rounds=3",
    b"mentors=paper\ninterns=paper\njudge=deepseek\ndata.cases=cases.jsonl\nrun.dir=runs/x",
    b"experiment=demo\nsearch=reference\ninterns.tiny_internvl.replicas=2\nseed=3",
    b"experiment=demo\nmentors=local,mine\npictures.mentor_max_side=64\n---\n"
    b"other: {model: m, base_url: 'http://127.0.0.1:1/v1', price: {input_per_mtok: 2.5}}\n",
    b"experiment=demo\njudge=mine\n---\nmodel: j\nbase_url: https://x.example/v1\napi_key_env: KEY\nmax_tokens: 64\n",
    b"experiment=demo\n++search.restarts=2\n~interns.tiny_internvl\nsearch.intern_temperatures=[0.3, 1.2]",
]
OVERRIDE_TOKENS = (
    b"=", b"[", b"]", b"{", b"}", b"'", b'"', b"\\", b",", b".", b"+", b"++", b"~", b"@", b"${", b"}",
    b"${oc.env:HOME}", b"${seed}",
    b"${oc.env:NO_SUCH_VARIABLE}", b"???", b"null", b"-1", b"1e9", b"nan", b"true", b"\n", b"\n---\n", b": ",
    b"- ", b"&a ", b"*a",
    b"<<: ", b"!!python/object:os.system ", b"\t", b"\0", b"\xff", b"search", b"mentors", b"model",
    b"hydra.run.dir=x",
    b"sk-abcdefghijklmnop1234", b"9" * 5000, b"../", b"choice(1,2)", b"glob(*)", b"range(1,9)", b"\nseed=",
)  # fmt: skip


@cache
def pictures() -> tuple[bytes, ...]:
    """One small picture of each form that is read."""
    grey = np.arange(256, dtype=np.uint8).reshape(16, 16)
    colour = Image.fromarray(np.stack([grey, grey.T, 255 - grey], axis=-1))
    wide = Image.fromarray(grey.astype(np.uint16) * 200)
    animated = {"save_all": True, "append_images": [colour.transpose(Image.Transpose.ROTATE_90)]}
    forms: list[tuple[Image.Image, str, dict[str, object]]] = [
        (colour, "PNG", {}), (colour.convert("P"), "PNG", {"transparency": 3}), (wide, "PNG", {}), (colour,
        "PNG", animated),
        (colour, "JPEG", {"exif": _turned()}), (colour.convert("CMYK"), "JPEG", {}), (colour, "JPEG",
        {"progressive": True}),
        (colour, "TIFF", {}), (wide, "TIFF", {"big_tiff": True}), (colour, "TIFF", {"compression": "tiff_lzw"}),
        (colour.convert("1"), "TIFF", {"compression": "group4"}), (colour, "WEBP", {}),
        (colour.convert("RGBA"), "WEBP", animated),
        (colour, "GIF", animated), (colour, "BMP", {}), (colour, "AVIF", {}),
    ]  # fmt: skip
    plain = [_saved(image, form, options) for image, form, options in forms]
    return (*plain, _dicom(grey, False), _dicom(grey, True), *_shipped(), _nifti(grey))


PICTURE_TOKENS = (
    b"\0", b"\xff", b"\xff\xff\xff\xff", b"\0\0\0\0", b"\x7f\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x80\0\0\0",
    b"IHDR", b"IDAT", b"IEND",
    b"acTL", b"tRNS", b"iCCP", b"\xff\xd8", b"\xff\xc2", b"\xff\xda", b"\xff\xe1\0\x08Exif", b"II*\0",
    b"MM\0*", b"RIFF", b"VP8X",
    b"ANMF", b"GIF89a", b"!\xf9\x04", b",", b";", b"DICM", b"\x28\0\x10\0US", b"\xe0\x7f\x10\0OW\0\0",
)  # fmt: skip


def _saved(image: Image.Image, form: str, options: dict[str, object]) -> bytes:
    out = io.BytesIO()
    image.save(out, form, **options)
    return out.getvalue()


def _turned() -> Image.Exif:
    exif = Image.Exif()
    exif[274] = 6
    return exif


def _shipped() -> list[bytes]:
    """Small files of pydicom's own, for the decoders that its plugins bring."""
    folder = Path(pydicom.__file__).parent / "data" / "test_files"
    names = ("JPEGLSNearLossless_16", "MR_small_jp2klossless", "rtdose_rle")
    return [(folder / f"{name}.dcm").read_bytes() for name in names]


def _nifti(grey: np.ndarray) -> bytes:
    return nibabel.Nifti1Image(np.stack([grey, grey.T], axis=-1), np.eye(4)).to_bytes()


def _dicom(grey: np.ndarray, compressed: bool) -> bytes:
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["fuzz"])
    data.Rows, data.Columns = grey.shape
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME1"
    data.BitsAllocated = data.BitsStored = 8
    data.HighBit, data.PixelRepresentation = 7, 0
    data.WindowCenter, data.WindowWidth = "128", "200"
    data.PixelData = grey.tobytes()
    if compressed:
        data.compress(RLELossless)
    out = io.BytesIO()
    data.save_as(out, enforce_file_format=True)
    return out.getvalue()
