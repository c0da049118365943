from __future__ import annotations

import signal
import threading

import pytest
from yolostream.interruption import defer_signals, interrupt_on_stop_signals, wait_for


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_what_is_begun_is_finished_before_the_interrupt(number):
    interrupt_on_stop_signals()
    done = []

    def begin():
        with defer_signals():
            signal.raise_signal(number)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert done
    # As after any interrupt: a second one would tear what is being finished.
    signal.raise_signal(number)


def test_without_a_signal_all_is_as_before():
    handler = signal.getsignal(signal.SIGINT)
    with defer_signals():
        pass
    assert signal.getsignal(signal.SIGINT) is handler


def test_what_is_ignored_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with defer_signals():
        signal.raise_signal(signal.SIGINT)


def test_other_threads_have_nothing_to_hold_back():
    entered = []

    def enter():
        with defer_signals():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered


def test_a_signal_that_another_thread_got_interrupts_a_wait():
    interrupt_on_stop_signals()

    def take() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    thread = threading.Timer(0.2, take)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        wait_for(threading.Event())
    thread.join()
