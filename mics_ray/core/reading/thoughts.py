"""What a model thinks aloud before or between its text: dropped from a reply before anything of it is read."""

import re

# The tags are those of DeepSeek, Qwen, Mistral, Kimi, Seed, MiniMax, Cohere, Sky-T1, Granite, Gemma and gpt-oss.
_NAME = r"(?:think(?:ing)?|thoughts?|reasoning|reflection|scratchpad)(?:_\w{1,20})?"
_TAG = rf"(?:\w{{1,16}}[:|])?{_NAME}"
_OPEN_HERE = r"here(?:['’]s|\ is)\ my\ thought\ process:"
_CLOSE_HERE = r"here(?:['’]s|\ is)\ my\ response:"
_HEADER = r"(?:<\|start\|>(?:assistant)?)?<\|channel\|>\s*"
_TAGS = rf"""(?=[<\[◁])(?:(?P<empty><{_TAG}\s*/>)
    |(?P<open><{_TAG}(?:\s[^<>]{{0,80}})?>|\[THINK(?:ING)?\]|◁think▷|<\|(?:(?:begin|start)(?:_of)?_)?{_NAME}\|>
        |<\|open\|>think<\|sep\|>|<\|channel>\s?thought\b)
    |(?P<close></{_TAG}\s*>|\[/THINK(?:ING)?\]|◁/think▷|<\|(?:end(?:_of)?_|/){_NAME}\|>|<\|close\|>think<\|sep\|>
        |<channel\|>)
    |(?P<channel>{_HEADER}(?:analysis|commentary)\b[^\n]{{0,80}}?<\|message\|>)
    |(?P<final>{_HEADER}final\b[^\n]{{0,80}}?<\|message\|>)
    |(?P<noise><\|(?:start|end)_(?:of_)?(?:solution|response)\|>|<\|begin_of_solution\|>|<\|open\|>response<\|sep\|>
        |(?:<\|(?:return|end|im_end|eot_id|endoftext|end_of_text)\|>|</s>|<end_of_turn>|<eos>)(?=\s*\Z)))"""
_MARK = re.compile(_TAGS, re.I | re.X)
# gpt-oss where a server drops its special tokens, and Granite, which marks its thoughts in plain words.
_WORDED = re.compile(
    rf"""{_TAGS}|(?P<told>\A\s*analysis(?=(?-i:[A-Z"'“]))|\A\s*{_OPEN_HERE}(?=(?s:.*){_CLOSE_HERE}))
    |(?P<spoken>assistant\s?final|{_CLOSE_HERE})""",
    re.I | re.X,
)
_UNMARKED = re.compile(r"\s*(?:analysis|here)", re.I)
OPENING = ("open", "channel", "told")
_QUOTES = frozenset("`'\"“”‘’«»")
_WORD_BEFORE = re.compile(r"(?:[\w,;][ \t]+|\()\Z")
_SENTENCE_AFTER = re.compile(r"[ \t]+[a-z(]|[ \t]*[.,;:!?)]")
_SEEN = 40
"""Characters before a tag that are looked at."""


def drop_thoughts(text: str) -> str | None:
    """What ``text`` says beside its thoughts; ``None`` where that cannot be told: a thought without an end, or a tag
    in the middle of a sentence.

    A closing tag without an opening one ends a thought that the chat template had opened: all before it is dropped. A
    tag in quotation marks is a word like any other, and so is one within a thought's sentence.
    """
    # The search for tags costs more than all else that is done with a reply, and most replies hold none.
    worded = _UNMARKED.match(text) is not None
    if not worded and not any(sign in text for sign in "<[◁"):
        return text
    said: list[str] = []
    at = depth = 0
    opened = False
    for mark in (_WORDED if worded else _MARK).finditer(text):
        kind, between = mark.lastgroup, text[at : mark.start()]
        if _is_quoted(text, mark) or (kind == "spoken" and not depth):
            continue
        if _is_mentioned(text, mark):
            if not depth:
                return None
            continue
        if not depth:
            said.append(between)
        # A template and its model may both open the same thought.
        depth += kind in OPENING and not (opened and not between.strip())
        if kind == "close" and depth:
            depth -= 1
        elif kind in ("close", "final", "spoken"):
            depth = 0
            said.clear()
        at, opened = mark.end(), kind in OPENING
    if depth:
        return None
    # On lines of their own: a marker that stood behind a thought begins a line.
    return "\n".join(part for part in (*said, text[at:]) if part.strip()) if at else text


def _is_quoted(text: str, mark: re.Match[str]) -> bool:
    before, after = text[mark.start() - 1 : mark.start()], text[mark.end() : mark.end() + 1]
    return before in _QUOTES and after in _QUOTES


def _is_mentioned(text: str, mark: re.Match[str]) -> bool:
    """Whether a tag stands within a sentence that speaks of it."""
    if mark.lastgroup not in ("open", "close", "empty") or not _SENTENCE_AFTER.match(text, mark.end()):
        return False
    return _WORD_BEFORE.search(text[max(0, mark.start() - _SEEN) : mark.start()]) is not None
