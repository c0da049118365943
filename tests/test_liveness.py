"""When an ensemble is asked for a frame, what its answer says, and how soon a server is started."""

from __future__ import annotations

import pytest
from yolostream.errors import (
    DeadlineExceeded,
    Overloaded,
    ServerError,
    ServerUnavailable,
)
from yolostream.server.backoff import LONG_S, LONGEST_S, Backoff
from yolostream.server.liveness import (
    ERRORS,
    INTERVAL_S,
    SHARE,
    SILENCE_S,
    URGENT_S,
    Counts,
    Liveness,
)


@pytest.fixture
def liveness():
    """Of an ensemble that has answered a question of 10 ms at second 0."""
    liveness = Liveness(0)
    assert liveness.is_due(0, Counts(5, 0))
    liveness.note_answer(0, asked_at=-0.01)
    return liveness


def test_one_that_nobody_asks_is_asked_at_an_interval(liveness):
    assert not liveness.is_due(INTERVAL_S - 0.1, Counts(5, 0))
    assert liveness.is_due(INTERVAL_S, Counts(5, 0))


def test_one_that_answers_others_is_asked_as_well(liveness):
    # It may answer each of them with what belongs to another.
    assert not liveness.is_due(INTERVAL_S - 0.1, Counts(500, 0))
    assert liveness.is_due(INTERVAL_S, Counts(600, 0))


def test_one_that_fails_others_is_asked_soon_also_if_it_answers_some(liveness):
    assert liveness.is_due(URGENT_S, Counts(5, 1))
    liveness.note_answer(URGENT_S, asked_at=URGENT_S)
    assert liveness.is_due(2 * URGENT_S, Counts(6, 2))


def test_questions_take_a_small_share_of_a_slow_server(liveness):
    liveness.note_answer(100, asked_at=98)
    assert not liveness.is_due(100 + 2 / SHARE - 0.1, Counts(5, 7))
    assert liveness.is_due(100 + 2 / SHARE, Counts(5, 8))


def test_one_that_says_nothing_of_itself_is_asked_at_the_interval(liveness):
    assert not liveness.is_due(INTERVAL_S - 0.1, None)
    assert liveness.is_due(INTERVAL_S, None)


@pytest.mark.parametrize(
    "error",
    [
        DeadlineExceeded("no answer"),
        ServerUnavailable("nobody"),
        Overloaded("its queue is full"),
    ],
)
def test_silence_is_a_fault_only_where_nobody_is_answered_for_long(liveness, error):
    for second in range(1, 200):
        assert liveness.fault_after(error, second, others_are_answered=True) is None
    assert liveness.fault_after(error, 199 + SILENCE_S - 1, others_are_answered=False) is None
    fault = liveness.fault_after(error, 199 + SILENCE_S, others_are_answered=False)
    assert fault.startswith(f"no answer for {SILENCE_S:.0f} s")


def test_answers_of_others_between_the_questions_end_a_silence(liveness):
    assert liveness.is_due(SILENCE_S - 1, Counts(6, 0))
    error = DeadlineExceeded("no answer")
    assert liveness.fault_after(error, 2 * SILENCE_S - 2, others_are_answered=False) is None


def test_errors_in_a_row_are_a_fault_and_an_answer_forgives_them(liveness):
    error = ServerError("out of memory")
    for second in range(1, ERRORS):
        assert liveness.fault_after(error, second, others_are_answered=False) is None
    liveness.note_answer(10, asked_at=10)
    for second in range(1, ERRORS):
        assert liveness.fault_after(error, 10 + second, others_are_answered=True) is None
    assert liveness.fault_after(error, 20, others_are_answered=True) == "out of memory"


def test_a_step_that_is_gone_is_a_fault_at_once(liveness):
    error = ServerUnavailable("Stub process 'nms_0_0' is not healthy.")
    assert "nms_0_0" in liveness.fault_after(error, 1, others_are_answered=True)


def test_a_server_is_started_again_at_once_and_later_and_later_if_that_does_not_help():
    backoff = Backoff()
    pauses = [backoff.pause_s(ran_s=LONG_S - 1) for _ in range(9)]
    assert pauses == [0, 1, 2, 4, 8, LONGEST_S, LONGEST_S, LONGEST_S, LONGEST_S]
    assert backoff.pause_s(ran_s=LONG_S) == 0
    assert backoff.pause_s(ran_s=0) == 1
