"""What is asked of a model, and the verdicts that need no judge."""

from dataclasses import replace

from eval.scoring.letters import LETTERS
from eval.scoring.reading import Reading, is_decided, is_yes_no
from eval.types import Item, Kind
from mics_ray.core.reading.words import normalise_words, strip_lead
from mics_ray.core.types import Case, Verdict
from mics_ray.io.records.choices import lists_options


def question_text(item: Item) -> str:
    """What is asked: the question, a choice's lettered options, and how to answer."""
    parts = [question_with_options(item)]
    if item.kind is Kind.CHOICE:
        parts.append("Answer with the letter of one option.")
    elif item.kind is Kind.CLOSED:
        parts.append("Answer yes or no." if is_yes_no(item) else "Answer with one word or a short phrase.")
    return "\n".join(parts)


def question_with_options(item: Item) -> str:
    """The question, with a choice's lettered options below it, and nothing of how to answer."""
    options = dict(zip(LETTERS, item.options, strict=False)) if item.kind is Kind.CHOICE else {}
    if options and lists_options(item.question, options):
        return item.question
    return "\n".join([item.question, *(f"{letter}. {text}" for letter, text in options.items())])


def list_gold_texts(item: Item) -> tuple[str, ...]:
    """Every answer that is right, of a choice with its option's text."""
    if item.kind is not Kind.CHOICE:
        return item.golds
    return tuple(f"{letter}. {item.options[LETTERS.index(letter)]}" for letter in item.golds)


def make_judge_case(item: Item, case: Case) -> Case:
    """What the judge reads of an item: the question, and every gold answer; of a choice its option's text too."""
    return replace(case, question=question_with_options(item), answer=" or ".join(list_gold_texts(item)))


def check_by_rule(item: Item, reading: Reading) -> Verdict | None:
    """Whether an answer is right by rule; ``None`` leaves it to the judge. No answer, or several, is wrong.

    A rule decides where two letters, two words of yes and no, or the same words stand side by side; that other words
    are wrong no rule can tell.
    """
    if not reading.answer:
        return Verdict.WRONG
    said = normalise_words(strip_lead(reading.answer))
    right = bool(said) and said in map(normalise_words, item.golds)
    if is_decided(item, reading.answer):
        return Verdict.RIGHT if right else Verdict.WRONG
    return Verdict.RIGHT if right and item.kind is not Kind.CHOICE else None
