"""One OpenAI-compatible provider: client, wire format, rate limiter, retries, breaker, and the endpoint over them."""
