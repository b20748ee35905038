"""The composition root: from a configuration to the objects of a search. Needs no ray."""
