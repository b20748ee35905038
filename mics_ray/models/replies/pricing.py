"""What a call takes in tokens and US dollars: estimated or bounded before it is sent, then billed by its usage."""

from mics_ray.config.schema import Price
from mics_ray.models.pictures.reading import read_encoded_size
from mics_ray.models.types import Pictures, Reply, Request

FRAME_TOKENS = 64  # roles and separators around the texts
CHARACTERS_PER_TOKEN = 4  # of English prose; other languages have fewer

# A picture's tokens, twice: a quota and a forecast want the typical count, for too high a one leaves quota unused; the
# budget wants a bound, for what is spent cannot be taken back.
TYPICAL_PICTURE_TOKENS = 765  # OpenAI's count for 1024 x 1024 pixels in high detail: 85, and 170 for each of 4 tiles
PICTURE_TOKENS_BOUND = (
    800  # plus a token for so many pixels (Anthropic counts one for 750); few small models count more
)
PIXELS_PER_TOKEN = 600


def estimate_tokens(request: Request, pictures: Pictures | None) -> float:
    """Tokens that a call may take, prompt and completion, before it is known: an upper bound for most text."""
    count = len(pictures.files) if pictures is not None else 0
    text = (len(request.system) + len(request.text)) / CHARACTERS_PER_TOKEN
    return text + TYPICAL_PICTURE_TOKENS * count + request.max_tokens


def cost_usd(price: Price, prompt_tokens: float, completion_tokens: float) -> float:
    """The bill where no token of the prompt is in the provider's cache."""
    return (price.input_per_mtok * prompt_tokens + price.output_per_mtok * completion_tokens) / 1e6


def bill_reply(price: Price, reply: Reply) -> float:
    """The bill of a reply, by the usage that the provider told.

    Thoughts are part of the completion and cost as much as the rest of it.
    """
    cached = max(0, min(reply.cached_tokens, reply.prompt_tokens))  # a provider's count may be garbage
    full = cost_usd(price, reply.prompt_tokens - cached, reply.completion_tokens)
    return full + _cached_input_price(price) * cached / 1e6


def _cached_input_price(price: Price) -> float:
    return price.input_per_mtok if price.cached_input_per_mtok is None else price.cached_input_per_mtok


def bound_cost(price: Price, request: Request, pictures: Pictures | None) -> float:
    """The most that one attempt may cost: no token of text is shorter than a byte, and the reply is as long as may be.

    A provider may count more for a picture than is assumed here: its first bill shows it.
    """
    # A bound holds whatever the cache does, also where a provider takes more for what it cached.
    dearest = max(price.input_per_mtok, _cached_input_price(price))
    if not (dearest or price.output_per_mtok):
        return 0.0
    text = sum(len(part.encode("utf-8", "surrogatepass")) for part in (request.system, request.text))
    seen = sum(_bound_picture_tokens(file) for file in pictures.files) if pictures is not None else 0
    return (dearest * (FRAME_TOKENS + text + seen) + price.output_per_mtok * request.max_tokens) / 1e6


def _bound_picture_tokens(file: bytes) -> float:
    width, height = read_encoded_size(file)
    return PICTURE_TOKENS_BOUND + width * height / PIXELS_PER_TOKEN
