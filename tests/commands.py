"""What the tests of the command line share: a command that must fail."""

from __future__ import annotations

from rlhf_tutorial import cli


def fails_in_one_line(capsys, *arguments: object, note: str = "") -> str:
    """Run a command that must end with exit code 2 and one line; returns the line.

    It must print nothing before; where `note` is given, one line that holds it.
    """
    try:
        code = cli.main([str(argument) for argument in arguments])
    except SystemExit as error:  # argparse ends the process itself
        code = error.code
    streams = capsys.readouterr()
    assert code == 2, streams
    assert note in streams.out and len(streams.out.splitlines()) == bool(note), streams.out
    lines = streams.err.strip().splitlines()
    assert len(lines) == 1, streams.err
    assert "Traceback" not in lines[0] and "[Errno" not in lines[0]
    return lines[0]
