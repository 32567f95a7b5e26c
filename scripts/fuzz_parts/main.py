"""Attacks the API of a real daemon and prints what came of it; exit code 1 when anything was wrong."""

import argparse
import shutil
import sys
import tempfile
from pathlib import Path

from by_schema import MISSING, attack, schemathesis
from hostile import storm
from prey import Prey

GROWTH_KIB = 2 * 1024  # between the first fifth of the storm, when every cache is warm, and its end


def main() -> int:
    """Parse, attack, print."""
    parser = argparse.ArgumentParser(prog="fuzz_api", description=__doc__)
    parser.add_argument("--examples", type=int, default=100, help="schemathesis' examples an operation (default 100)")
    parser.add_argument("--requests", type=int, default=20_000, help="malformed requests (default 20,000)")
    parser.add_argument("--seed", type=int, default=1, help="of everything random (default 1)")
    arguments = parser.parse_args()
    program = schemathesis()
    if arguments.examples and program is None:
        print(f"fuzz_api: {MISSING}; --examples 0 leaves it out", file=sys.stderr)
        return 2
    folder = Path(tempfile.mkdtemp(prefix="fuzz-api-"))
    prey = Prey(folder)
    prey.start()
    wrong: list[str] = []
    try:
        if arguments.examples and program is not None:
            print("(Most cursors that fit the document do not exist: a warning about refused data is to be expected.)")
            sys.stdout.flush()
            code = attack(program, prey, folder, arguments.examples, arguments.seed)
            wrong += [f"schemathesis ended with {code}"] if code else []
        if arguments.requests:
            wrong += _storm(prey, arguments.requests, arguments.seed)
        wrong += [] if prey.alive() and prey.healthy() else ["the daemon does not answer any more"]
    finally:
        code = prey.stop()
    wrong += [f"the daemon ended with {code}"] if code else []
    wrong += [f"its log: {line}" for line in prey.troubles()[:5]]
    for sentence in wrong:
        print(f"fuzz_api: {sentence}", file=sys.stderr)
    if wrong:
        print(f"fuzz_api: see {folder}", file=sys.stderr)
        return 1
    shutil.rmtree(folder)
    print("fuzz_api: nothing wrong")
    return 0


def _storm(prey: Prey, requests: int, seed: int) -> list[str]:
    """Send malformed requests and print memory; returns what was wrong."""
    before, files, statuses = prey.rss(), prey.files(), storm(prey.port, requests // 5, seed)
    warm = prey.rss()
    statuses += storm(prey.port, requests - requests // 5, seed + 1)
    after = prey.rss()
    answers = ", ".join(f"{count} x {status or 'closed'}" for status, count in sorted(statuses.items()))
    print(f"malformed requests: {sum(statuses.values())}: {answers}")
    print(f"resident memory: {before} KiB before, {warm} KiB after a fifth of them, {after} KiB after all")
    print(f"open files: {files} before, {prey.files()} after")
    wrong = [f"{count} answers {status}" for status, count in statuses.items() if status >= 500]
    if after - warm > GROWTH_KIB:
        wrong.append(f"memory grew by {after - warm} KiB; at most {GROWTH_KIB} KiB are allowed")
    return wrong


if __name__ == "__main__":
    sys.exit(main())
