"""Records of every form -> cases: ``parse`` puts one together, ``keys`` names its fields, ``turns`` reads the forms in
which people hold question and answer, ``choices`` several gold answers and options."""

from mics_ray.io.records.keys import ID_FIELDS, is_picture_key, is_read_key
from mics_ray.io.records.parse import RecordPlace, Rejection, find_id, has_pictures, parse_record, reject_duplicate

__all__ = [
    "ID_FIELDS",
    "RecordPlace",
    "Rejection",
    "find_id",
    "has_pictures",
    "is_picture_key",
    "is_read_key",
    "parse_record",
    "reject_duplicate",
]
