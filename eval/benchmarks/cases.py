"""Cases of the project's own input format as open questions: phantoms, or a hospital's held-out cases."""

from collections.abc import Iterator

from eval.benchmarks.base import Source
from eval.types import Item, Kind
from mics_ray.core.context import show_context
from mics_ray.core.types import Case
from mics_ray.errors import RefusedRun
from mics_ray.io.cases import InputError, read_span, survey_cases


def read_case_items(source: Source) -> Iterator[Item]:
    """The cases of `SPLIT.jsonl`, whose pictures are relative to its folder. One case is one cluster.

    Raises :class:`RefusedRun` for a record that generation would reject.
    """
    file = source.named_file(f"{source.config.split}.jsonl")
    try:
        for span in survey_cases(str(file)).spans:
            for found in read_span(span):
                # Refused, not skipped: an accuracy over fewer cases than the file holds would not be comparable.
                if not isinstance(found, Case):
                    raise RefusedRun(f"{source.name}: {found.reason}")
                told = show_context(found, source.context).context
                yield Item(
                    found.id,
                    Kind.OPEN,
                    found.question,
                    found.answer,
                    images=found.images,
                    cluster=found.id,
                    others=found.others,
                    context=told,
                )
    except InputError as error:
        raise RefusedRun(f"{source.name}: {error}") from None
