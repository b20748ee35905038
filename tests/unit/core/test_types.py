from dataclasses import astuple, fields

from mics_ray.core.types import Usage


def test_every_field_adds_up() -> None:
    assert Usage(1, 2, 3, 4, 0.5) + Usage(10, 20, 30, 40, 0.25) == Usage(11, 22, 33, 44, 0.75)
    assert sum([Usage(1), Usage(2)], Usage()) == Usage(3)
    each = Usage(*range(1, 1 + len(fields(Usage))))
    assert astuple(each + each) == tuple(2 * number for number in astuple(each)), "no field is left out"
