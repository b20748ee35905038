"""Where the parts of a configuration are: cases, pictures, files that the package carries, the providers of models."""

from pathlib import Path

from mics_ray.config.schema import Config, Engine, ModelConfig

LOCAL = "local"
EMBEDDED = "embedded:"
JUDGE = "judge"


def resolve_embedded(path: str) -> str:
    """Resolve ``embedded:…`` to the file or folder that the package carries; other paths stay as they are."""
    if path.startswith(EMBEDDED):
        return str(Path(__file__).parents[1] / "local" / path.removeprefix(EMBEDDED))
    return path


def locate_cases(config: Config) -> Path:
    """The file of cases."""
    return Path(resolve_embedded(config.data.cases))


def locate_images(config: Config) -> Path:
    """The folder that picture paths are relative to; beside the cases unless given."""
    given = config.data.image_root
    return Path(resolve_embedded(given)) if given else locate_cases(config).parent


def list_models(config: Config) -> dict[str, ModelConfig]:
    """Every model of a run by its entry name: mentors, interns, the judge."""
    return {**config.mentors, **config.interns, JUDGE: config.judge}


def list_endpoints(config: Config) -> dict[str, ModelConfig]:
    """Every model behind an API, by its entry name: mentors, the judge, interns with ``engine: endpoint``."""
    found: dict[str, ModelConfig] = dict(config.mentors)
    found[JUDGE] = config.judge
    for name, intern in config.interns.items():
        if intern.engine is Engine.endpoint:
            found[name] = intern
    return found


def group_by_provider(config: Config) -> dict[str, dict[str, ModelConfig]]:
    """Entries grouped by who serves them (address and key): one endpoint actor each, so that its limits are exact."""
    # The key is part of the group: two keys of one provider have limits of their own. A key may be in a header.
    groups: dict[str, dict[str, ModelConfig]] = {}
    for name, entry in list_endpoints(config).items():
        headers = (f"{header.lower()}={variable}" for header, variable in sorted(entry.headers_env.items()))
        group = " ".join(filter(None, [str(entry.base_url), entry.api_key_env, *headers]))
        groups.setdefault(group, {})[name] = entry
    return groups
