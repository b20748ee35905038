"""Adapters to models: chat APIs, vLLM engines, and the roles of the search on top of them."""
