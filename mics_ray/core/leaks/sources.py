"""Phrases that tell where a step has its knowledge from, and final-answer blocks. All texts are folded."""

import re
from collections.abc import Iterator

_GIVEN = r"""(?:(?:gold|reference|correct|right|true|provided|given|supplied|known|official|model|final|expected|
    stated|gold[\s-]+standard)\s+)+"""
# A report is one only where it is none that a person gives: "the report of her mother" is the history.
_EXAMINED = (
    r"(?:the\s+|this\s+|an?\s+)?(?:\w+\s+){0,2}(?:scan|study|examination|imaging|images?|pictures?|films?|"
    r"radiographs?|x[\s-]?rays?|ct|mri|mr|ultrasound|biopsy|"
    r"patholog\w+|radiolog\w+|histolog\w+|angiograph\w+|tomograph\w+|endoscop\w+|laborator\w+)\b"
)
_REPORT = rf"reports?\b(?!\s+(?:of|by|from|that\s+(?:he|she|they))\s+(?!{_EXAMINED}))"
_SOURCE = rf"""(?:(?:picture|image|imaging|radiology|radiological|pathology|ct|mri|official|provided|given|accompanying|
    figure|written)\s+)*(?:captions?|legends?|image\s+analys[ie]s|image\s+descriptions?|case\s+notes|{_REPORT}|
    {_GIVEN}(?:answer|diagnosis|solution|label)|answer\s+key|ground\s+truth|gold\s+standard|reference)"""
_CITED = re.compile(
    rf"""\b(?:according\s+to|based\s+on|as\s+(?:stated|said|described|noted|reported|mentioned|given|shown|written|
    confirmed)\s+(?:in|by)|as\s+per|per|from|in|matches|matching|match|agrees?\s+with|in\s+(?:line|agreement|accordance|keeping)\s+with|
    consistent\s+with|confirmed\s+by|supports?)\s+(?:the|its|this|that|our|your)\s+(?P<by>{_SOURCE})\b
    |\bthe\s+(?P<says>{_SOURCE})\s+(?:(?:also|clearly|already|that\s+we\s+have)\s+)?(?:says?|states?|describes?|
    mentions?|notes?|reports?|reads?|tells?|indicates?|shows?|reveals?|confirms?|suggests?|gives?|names?|fits?|
    (?:was|is|has\s+been)\s+(?:given|provided|supplied|told|known|stated))\b""",
    re.X,
)
_KNOWN = re.compile(
    rf"""\b(?:we|i|you)\s+(?:already\s+)?(?:know|knew|were\s+(?:told|given)|are\s+(?:told|given)|have\s+been\s+(?:told|given))\s+
    (?:that\s+)?(?:the|what\s+the)\s+(?:{_GIVEN})?(?:answer|diagnosis|solution)\b
    |\b(?:knowing|given|working\s+backwards?\s+from|starting\s+from)\s+(?:that\s+)?the\s+(?:{_GIVEN})?(?:answer|solution)\b
    |\bthe\s+(?:answer|solution)\s+(?:(?:that|which)\s+)?(?:is|was|has\s+been)\s+(?:already\s+)?
    (?:given|provided|supplied|told|known)\b""",
    re.X,
)
_BLOCK = re.compile(
    r"""^[^a-z0-9\n]*(?:(?:the|my|our|so|thus|hence)\s+)*(?:final\s+)?answer\b[\s*_"'`]*(?:[:=]|is\s*:)
    |^\W*(?:the\s+)?final\s+answer\W*$|\\boxed\s*\{|<answer>""",
    re.M | re.X,
)
_STATED = re.compile(
    r"""\bfinal\s+answer\b[\s*_"'`),]*(?:[:=(]|(?:(?:then|thus|therefore|hence)[\s,]+)?
    (?:is|was|(?:must|would|should)\s+be)\b(?!\s+(?:not|never|yet|still|open|unclear|unknown|to\s+be|what|which|based|given|found|reached|due)\b))""",
    re.X,
)
_NOT_YET = re.compile(r"\b(?:before|until|prior\s+to|not|never|towards?|once|when|if)\b[^.!?\n]*\Z")
_REACH = 80
"""Characters before a final answer that may say that it is none yet."""


def list_cited(line: str) -> Iterator[str]:
    """The sources that a step cites as giving the findings or the answer."""
    for found in _CITED.finditer(line):
        yield found["by"] or found["says"]
    for found in _KNOWN.finditer(line):
        yield found[0]


def states_final_answer(line: str) -> bool:
    """Whether a step is, or holds, a final answer, whatever it answers; to speak of one to come is none."""
    if _BLOCK.search(line):
        return True
    return any(not _NOT_YET.search(line, max(0, at.start() - _REACH), at.start()) for at in _STATED.finditer(line))
