from pathlib import Path

from mics_ray.io.row_schema import SCHEMA, SCHEMA_VERSION


def test_the_schema_of_a_row_is_the_stored_one() -> None:
    """A change here is a change for every reader: raise SCHEMA_VERSION with it."""
    stored = (Path(__file__).parent / "row_schema.txt").read_text()
    lines = [f"version {SCHEMA_VERSION}", *(f"{field.name}: {field.type}" for field in SCHEMA)]
    assert "".join(f"{line}\n" for line in lines) == stored
