"""The names of the targets, for what must not import the parsers yet."""

NAMES = ("text", "verdict", "reply", "refusal", "cases", "pictures", "config")
