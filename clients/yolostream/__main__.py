"""The command `yolostream`, and `python -m yolostream`."""

from yolostream.interruption import exit_on_stop_signals


def main() -> None:
    """Run the command line, which can be interrupted from now on."""
    exit_on_stop_signals()
    # It takes a third of a second.
    from yolostream.cli import main as run

    run()


if __name__ == "__main__":
    main()
