"""A stand-in for a provider's prefix cache: which part of each prompt has been sent before, in whole blocks."""

from dataclasses import dataclass, field

from mics_ray.models.types import Pictures, Request

CHARACTERS_PER_TOKEN = 4
PICTURE_TOKENS = 255  # OpenAI's count for 512 x 512 pixels in high detail: 85, and 170 for the one tile


def tokenise_prompt(request: Request, pictures: Pictures | None) -> list[str]:
    """A prompt as a provider reads it: system message, pictures, text. Four characters are a token."""
    shown = [f"{request.pictures}-{n}" for n in range(len(pictures.files) if pictures else 0)]
    places = [f"{picture}-{n}" for picture in shown for n in range(PICTURE_TOKENS)]
    return [*_cut_text(request.system), *places, *_cut_text(request.text)]


def _cut_text(text: str) -> list[str]:
    return [text[at : at + CHARACTERS_PER_TOKEN] for at in range(0, len(text), CHARACTERS_PER_TOKEN)]


@dataclass
class PrefixCache:
    """One model's cache. ``block``: tokens that are kept or not together; nothing counts below ``least`` tokens.

    It forgets nothing, and a prompt can be shared as soon as it has been sent: the most that a provider could save.
    """

    block: int = 128
    least: int = 1024
    _seen: set[int] = field(default_factory=set)

    def count_cached(self, prompt: list[str]) -> int:
        """Tokens at the beginning of ``prompt`` that an earlier one had too; the prompt itself is kept from here on."""
        cached, digest, missed = 0, 0, False
        for start in range(0, len(prompt) - self.block + 1, self.block):
            digest = hash((digest, *prompt[start : start + self.block]))
            missed = missed or digest not in self._seen
            cached += 0 if missed else self.block
            self._seen.add(digest)
        return cached if cached >= self.least else 0
