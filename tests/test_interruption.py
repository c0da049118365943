from __future__ import annotations

import signal
import threading

import pytest
from yolostream.interruption import defer_signals, interrupt_on_stop_signals, wait_for


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_block_with_deferred_signals_is_completed_before_the_interrupt(number):
    interrupt_on_stop_signals()
    done = []

    def begin():
        with defer_signals():
            signal.raise_signal(number)
            done.append("the rest of the block")

    with pytest.raises(KeyboardInterrupt):
        begin()
    assert done
    # After an interrupt, further signals are ignored, because they would interrupt the cleanup.
    signal.raise_signal(number)


def test_without_a_signal_the_handler_is_restored():
    handler = signal.getsignal(signal.SIGINT)
    with defer_signals():
        pass
    assert signal.getsignal(signal.SIGINT) is handler


def test_an_ignored_signal_stays_ignored():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with defer_signals():
        signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN


def test_other_threads_can_defer_signals_without_effect():
    entered = []

    def enter():
        with defer_signals():
            entered.append(True)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered


def test_a_signal_to_another_thread_interrupts_a_wait():
    interrupt_on_stop_signals()

    def take() -> None:
        signal.pthread_kill(threading.get_ident(), signal.SIGTERM)

    thread = threading.Timer(0.2, take)
    thread.start()
    with pytest.raises(KeyboardInterrupt):
        wait_for(threading.Event())
    thread.join()
