"""What calls cost in US dollars: the bill of a reply, and the most that a call may cost before it is sent."""

from mics_ray.config.schema import Price
from mics_ray.models.pictures.reading import read_encoded_size
from mics_ray.models.types import Pictures, Reply, Request

FRAME_TOKENS = 64  # roles and separators around the texts
PICTURE_TOKENS, PIXELS_PER_TOKEN = 800, 600  # above what providers count for a picture, but for a few small models


def cost_usd(price: Price, prompt_tokens: float, completion_tokens: float) -> float:
    """The bill."""
    return (price.input_per_mtok * prompt_tokens + price.output_per_mtok * completion_tokens) / 1e6


def bill_reply(price: Price, reply: Reply) -> float:
    """The bill of a reply, by the usage that the provider told."""
    return cost_usd(price, reply.prompt_tokens, reply.completion_tokens)


def bound_cost(price: Price, request: Request, pictures: Pictures | None) -> float:
    """The most that one attempt may cost: no token of text is shorter than a byte, and the reply is as long as may be.

    A provider may count more for a picture than is assumed here: its first bill shows it.
    """
    if not (price.input_per_mtok or price.output_per_mtok):
        return 0.0
    text = sum(len(part.encode("utf-8", "surrogatepass")) for part in (request.system, request.text))
    seen = sum(_bound_picture_tokens(file) for file in pictures.files) if pictures is not None else 0
    return cost_usd(price, FRAME_TOKENS + text + seen, request.max_tokens)


def _bound_picture_tokens(file: bytes) -> float:
    width, height = read_encoded_size(file)
    return PICTURE_TOKENS + width * height / PIXELS_PER_TOKEN
