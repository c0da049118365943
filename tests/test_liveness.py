"""Health checks of an ensemble: their times, their results, and the delay before a restart."""

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
    """The liveness of an ensemble that has answered a check within 10 ms at second 0."""
    liveness = Liveness(0)
    assert liveness.is_due(0, Counts(5, 0))
    liveness.note_answer(0, asked_at=-0.01)
    return liveness


def test_an_idle_ensemble_is_checked_at_an_interval(liveness):
    assert not liveness.is_due(INTERVAL_S - 0.1, Counts(5, 0))
    assert liveness.is_due(INTERVAL_S, Counts(5, 0))


def test_an_ensemble_that_answers_clients_is_checked_at_the_same_interval(liveness):
    # Its answers to clients may belong to other frames.
    assert not liveness.is_due(INTERVAL_S - 0.1, Counts(500, 0))
    assert liveness.is_due(INTERVAL_S, Counts(600, 0))


def test_an_ensemble_with_failed_requests_is_checked_sooner(liveness):
    assert liveness.is_due(URGENT_S, Counts(5, 1))
    liveness.note_answer(URGENT_S, asked_at=URGENT_S)
    assert liveness.is_due(2 * URGENT_S, Counts(6, 2))


def test_checks_take_a_small_share_of_the_time_of_a_slow_server(liveness):
    liveness.note_answer(100, asked_at=98)
    assert not liveness.is_due(100 + 2 / SHARE - 0.1, Counts(5, 7))
    assert liveness.is_due(100 + 2 / SHARE, Counts(5, 8))


def test_an_ensemble_without_statistics_is_checked_at_the_interval(liveness):
    assert not liveness.is_due(INTERVAL_S - 0.1, None)
    assert liveness.is_due(INTERVAL_S, None)


@pytest.mark.parametrize(
    "error",
    [
        DeadlineExceeded("no answer"),
        ServerUnavailable("no server"),
        Overloaded("its queue is full"),
    ],
)
def test_silence_is_a_fault_only_if_no_client_is_answered_for_long(liveness, error):
    for second in range(1, 200):
        assert liveness.fault_after(error, second, others_are_answered=True) is None
    assert liveness.fault_after(error, 199 + SILENCE_S - 1, others_are_answered=False) is None
    fault = liveness.fault_after(error, 199 + SILENCE_S, others_are_answered=False)
    assert fault.startswith(f"no answer for {SILENCE_S:.0f} s")


def test_answers_to_clients_between_checks_end_a_silence(liveness):
    assert liveness.is_due(SILENCE_S - 1, Counts(6, 0))
    error = DeadlineExceeded("no answer")
    assert liveness.fault_after(error, 2 * SILENCE_S - 2, others_are_answered=False) is None


def test_consecutive_errors_are_a_fault_and_an_answer_resets_their_count(liveness):
    error = ServerError("out of memory")
    for second in range(1, ERRORS):
        assert liveness.fault_after(error, second, others_are_answered=False) is None
    liveness.note_answer(10, asked_at=10)
    for second in range(1, ERRORS):
        assert liveness.fault_after(error, 10 + second, others_are_answered=True) is None
    assert liveness.fault_after(error, 20, others_are_answered=True) == "out of memory"


def test_a_dead_step_is_a_fault_at_once(liveness):
    error = ServerUnavailable("Stub process 'nms_0_0' is not healthy.")
    assert "nms_0_0" in liveness.fault_after(error, 1, others_are_answered=True)


def test_restarts_are_delayed_longer_after_each_failure():
    backoff = Backoff()
    pauses = [backoff.pause_s(ran_s=LONG_S - 1) for _ in range(9)]
    assert pauses == [0, 1, 2, 4, 8, LONGEST_S, LONGEST_S, LONGEST_S, LONGEST_S]
    assert backoff.pause_s(ran_s=LONG_S) == 0
    assert backoff.pause_s(ran_s=0) == 1
