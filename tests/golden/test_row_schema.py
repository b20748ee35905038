from pathlib import Path

from mics_ray.io.row_schema import SCHEMA, SCHEMA_VERSION

STORED = Path(__file__).parent / "row_schema.txt"


def test_the_schema_of_a_row_is_the_stored_one(regenerate: bool) -> None:
    """A change here is a change for every reader: see the module's own account of what goes with it."""
    lines = [f"version {SCHEMA_VERSION}", *(f"{field.name}: {field.type}" for field in SCHEMA)]
    text = "".join(f"{line}\n" for line in lines)
    if regenerate:
        STORED.write_text(text)
    assert text == STORED.read_text()
