"""What the console script calls: nothing but the way to `main`, so that Ctrl-C ends cleanly while the command line is still being imported."""

from __future__ import annotations

import sys


def main() -> int:
    """Import and run the command line; return its exit code."""
    try:
        from vramcast.cli.main import main as run

        return run()
    except KeyboardInterrupt:
        from vramcast.errors import EXIT_INTERRUPTED

        sys.stderr.write("\nvramcast: interrupted\n")
        return EXIT_INTERRUPTED
