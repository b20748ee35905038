"""InternVL records of two searches, compared with the stored ones: `export_internvl.jsonl`.

A difference means that trainers read something else from the same searches. Where that is meant:
`pytest tests/golden --regenerate-golden`.
"""

import json
from pathlib import Path

from tests.support.run_folders import job, make_run, noise, row
from train.export.export import write_export

STORED = Path(__file__).parent / "export_internvl.jsonl"


def test_records_are_the_stored_ones(tmp_path: Path, regenerate: bool) -> None:
    rows = [
        row("chest-1", images=("a.png", "b.png"), last_step="So <image> it is!"),
        row("chest-2", ({"ann": "rwww"}, {"bob": "rrww"}), "ab", "depth", question="Why?", images=()),
    ]
    run = make_run(tmp_path / "run", rows)
    noise(7, 1000, 500).save(run / "pictures/b.png")
    write_export(job(run, tmp_path / "x"))
    found = [json.loads(line) for line in (tmp_path / "x/train.jsonl").read_text().splitlines()]
    for record in found:
        if "image" in record:  # the name of a file is the digest of what Pillow's version wrote
            record["image"] = [Path(image).parts[0] for image in record["image"]]
    if regenerate:
        STORED.write_text("".join(f"{json.dumps(record)}\n" for record in found))
    assert found == [json.loads(line) for line in STORED.read_text().splitlines()]
