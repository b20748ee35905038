"""Laws of the leak guard: the answer word for word is always found, a step without its words never."""

import random
from collections.abc import Callable

from hypothesis import given, settings
from hypothesis import strategies as st

from mics_ray.core.leaks import Leak, LeakGuard
from mics_ray.core.types import Case
from mics_ray.core.wording import extract_words, is_telling

WORD = st.text("abcdefghijklm", min_size=1, max_size=12)
OTHER = st.text("nopqrstuvwxyz", min_size=1, max_size=12)
ANSWER = (
    st.lists(WORD, min_size=1, max_size=6).map(" ".join).filter(lambda text: any(map(is_telling, extract_words(text))))
)
AROUND = st.lists((WORD | OTHER).filter(lambda word: word not in ("no", "nor", "not")), max_size=8).map(" ".join)
"""Without a negation: what a step denies is not given away."""
JOIN = st.sampled_from([" ", ", ", ": ", "\n", " (", ' "', " — "])


@given(ANSWER, AROUND, AROUND, JOIN, st.sampled_from([str.upper, str.lower, str.title]))
def test_a_telling_answer_word_for_word_is_always_found(
    answer: str, before: str, after: str, join: str, case: Callable[[str], str]
) -> None:
    step = f"{before}{join}{case(answer)}. {after}"
    assert Leak.ANSWER in LeakGuard(Case("c", "", answer)).find_in_step(step)


@given(ANSWER, st.randoms(use_true_random=False))
def test_the_order_of_the_words_does_not_matter(answer: str, rng: random.Random) -> None:
    shuffled = answer.split()
    rng.shuffle(shuffled)
    assert Leak.ANSWER in LeakGuard(Case("c", "", answer)).find_in_step(" ".join(shuffled))


@given(ANSWER, st.lists(OTHER, max_size=20).map(" ".join))
def test_a_step_without_any_word_of_the_answer_never_tells_it(answer: str, step: str) -> None:
    assert Leak.ANSWER not in LeakGuard(Case("c", "", answer)).find_in_step(step)


@given(ANSWER, AROUND, AROUND)
def test_what_the_question_names_is_no_leak(answer: str, before: str, after: str) -> None:
    question = f"{before} {answer} {after}"
    assert LeakGuard(Case("c", question, answer)).find_in_chain([question]) == ()


@given(st.text(), st.text(), st.lists(st.text(), max_size=3))
@settings(max_examples=300)
def test_any_text_is_looked_through(question: str, answer: str, steps: list[str]) -> None:
    found = LeakGuard(Case("c", question, answer)).find_in_chain(steps)
    assert [number for number, _ in found] == sorted(number for number, _ in found)
    assert all(1 <= number <= len(steps) for number, _ in found)
    for number, kind in found:
        assert kind in LeakGuard(Case("c", question, answer)).find_in_step(steps[number - 1])
