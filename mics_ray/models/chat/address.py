"""Which addresses a model may be asked at."""

from yarl import URL

from mics_ray.proxies import is_loopback

OPERATIONS = ("/completions", "/responses", "/messages", "/models")
"""Ends of addresses that providers' pages show whole; ours is added to the base."""


def check_base_url(url: str, allow_http: bool = False) -> str:
    """Return ``url`` without a closing slash. Raises :class:`ValueError` unless it is https, or http on loopback.

    ``allow_http`` lets http go to any host.
    """
    try:
        parsed = URL(url)
        scheme, host = parsed.scheme, parsed.host
    except ValueError:
        raise ValueError("base_url: not an address") from None
    if not host or parsed.user or parsed.password or parsed.query_string or parsed.fragment:
        raise ValueError("base_url: only scheme, host, port and path, such as https://host/v1")
    if parsed.path.rstrip("/").endswith(OPERATIONS):
        raise ValueError("base_url: only what stands before /chat/completions, such as https://host/v1")
    if scheme == "http" and not (allow_http or is_loopback(host)):
        raise ValueError(
            f"base_url: http://{host} is not https (http is for loopback, and for servers inside the cluster "
            "whose entry says allow_http: true)"
        )
    if scheme not in ("http", "https"):
        raise ValueError(f"base_url: {scheme}://{host} is not https")
    return url.rstrip("/")
