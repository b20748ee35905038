import pytest
from ray.train import ControllerError, WorkerGroupError
from ray.train.v2._internal.exceptions import UserExceptionWithTraceback

from mics_ray.errors import RefusedRun
from train.backends.peft.backend import explain_failure

pytestmark = pytest.mark.heavy


def test_a_worker_s_refusal_is_told_in_its_own_words() -> None:
    refused = UserExceptionWithTraceback(RefusedRun("record r7: too long"), "Traceback")
    other = UserExceptionWithTraceback(ConnectionError("peer gone"), "Traceback")
    assert explain_failure(WorkerGroupError("several", {1: other, 0: refused})) == "record r7: too long"


@pytest.mark.parametrize(
    "error",
    [
        WorkerGroupError("SECRET", {0: UserExceptionWithTraceback(ValueError("SECRET"), "SECRET")}),
        ControllerError(ValueError("SECRET")),
    ],
)
def test_of_other_errors_only_the_kind_is_told(error: Exception) -> None:
    assert "ValueError" in explain_failure(error)
    assert "SECRET" not in explain_failure(error)
