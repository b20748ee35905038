"""From a configuration to the objects of a search: its strategy, and a panel of models for each case."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from mics_ray.assemble.locations import JUDGE
from mics_ray.config.sampling import OF_MODEL, Sampling, read_sampling
from mics_ray.config.schema import Config, Engine, ModelConfig, SearchConfig, StrategyKind
from mics_ray.core.best_of_n import BestOfN
from mics_ray.core.mics import Mics
from mics_ray.core.ports import Panel, Strategy
from mics_ray.models.prompts import fill_mentor_system
from mics_ray.models.roles import LIMITS, BoundModel, ModelIntern, ModelJudge, ModelMentor, UsageMeter
from mics_ray.models.shared_verdicts import SharedVerdicts
from mics_ray.models.types import Model, Pictures, Request, encode_options

VERDICTS = ("Yes", "No")


def build_strategy(search: SearchConfig, mentors: tuple[str, ...]) -> Strategy:
    """The policy that a search preset names."""
    if search.strategy is StrategyKind.best_of_n:
        return BestOfN(mentors)
    return Mics(mentors, search.max_rounds, search.first_steps, search.competitiveness.value)


@dataclass(frozen=True)
class PanelBuilder:
    """Builds the panel of each case of a run. ``models`` are what answers, by entry name."""

    config: Config
    models: Mapping[str, Model]

    def build_panel(
        self, mentor_pictures: Pictures | None, intern_pictures: Pictures | None, meter: UsageMeter
    ) -> Panel:
        """The panel of one case, with its pictures as each role sees them."""
        config = self.config
        mentors = {
            name: ModelMentor(self._bind_model(name, build_mentor_template(config, name), mentor_pictures, meter))
            for name in config.mentors
        }
        interns = {
            name: ModelIntern(self._bind_model(name, build_intern_template(config, name), intern_pictures, meter))
            for name in config.interns
        }
        judge = ModelJudge(self._bind_model(JUDGE, build_judge_template(config), None, meter))
        # One that samples draws a verdict for each vote.
        asked = judge if judge.model.template.temperature else SharedVerdicts(judge)
        temperatures = tuple(config.search.intern_temperatures)
        leak_judge = judge if config.leaks.judge else None
        search = config.search
        return Panel(mentors, interns, asked, temperatures, leak_judge, search.match_gold, search.adaptive)

    def _bind_model(self, name: str, template: Request, pictures: Pictures | None, meter: UsageMeter) -> BoundModel:
        if not self._find_entry(name).sees_pictures:
            pictures = None
        # The digest, not the pictures, is part of a request: its key in the reply store stays short.
        template = replace(template, pictures=pictures.digest if pictures else "")
        return BoundModel(self.models[name], template, pictures, self.config.prompts, meter)

    def _find_entry(self, name: str) -> ModelConfig:
        config = self.config
        return config.judge if name == JUDGE else config.mentors.get(name) or config.interns[name]


def build_mentor_template(config: Config, name: str) -> Request:
    """What every request to a mentor has in common."""
    return _build_template(
        name, config.mentors[name], config.search.mentor_temperature, fill_mentor_system(config.prompts)
    )


def build_intern_template(config: Config, name: str) -> Request:
    """What every request to an intern has in common; the temperature is the vote's."""
    entry = config.interns[name]
    if entry.sampling is None:
        entry = replace(entry, sampling=config.search.intern_sampling)
    return replace(_build_template(name, entry, 0.0), temperature=0.0)


def build_judge_template(config: Config) -> Request:
    """What every request to the judge has in common."""
    # An engine of ours can be held to the two words; a provider only asked for them.
    choice = list(VERDICTS) if config.judge.engine is Engine.vllm else None
    return _build_template(JUDGE, config.judge, config.search.judge_temperature, choice=choice)


def _build_template(
    name: str, entry: ModelConfig, temperature: float, system: str = "", choice: list[str] | None = None
) -> Request:
    # Other weights under the same name are another model: their replies have keys of their own in the store.
    weights = "+".join(filter(None, [entry.revision, entry.adapter]))
    return Request(
        entry=name,
        model=entry.model,
        revision=weights,
        system=system,
        text="",
        pictures="",
        temperature=temperature if entry.temperature is None else entry.temperature,
        max_tokens=find_room(entry),
        seed=0,
        options=encode_options(
            extra_body=entry.extra_body, query=entry.query, sampling=choose_sampling(entry), choice=choice
        ),
    )


def find_room(entry: ModelConfig) -> int:
    """The most tokens of a reply that an entry asks for, under whatever name: what budget and quotas set aside."""
    sent = {"max_tokens": entry.max_tokens} | entry.extra_body
    told = [sent[name] for name in LIMITS if type(sent.get(name)) is int]
    return max(told, default=entry.max_tokens)


def choose_sampling(entry: ModelConfig) -> Sampling:
    """What the requests of an entry say of sampling. Raises :class:`ValueError` where the entry's cannot be read."""
    sampling = read_sampling(entry.sampling)
    # A provider samples as its model says where it is told nothing.
    return None if sampling == OF_MODEL and entry.engine is Engine.endpoint else sampling
