"""Peers in processes of their own, that take turns in one run.

Each peer is a function in `benchmarks/peers/` that builds what is to be timed and returns it as a
function. It runs in a process of its own, so that nobody shares a thread pool or an allocator,
and so that its memory can be told; and in the interpreter that has its libraries.
"""

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
# A peer this many times slower than the fastest is not asked again.
_HOPELESS = 10


class Peer:
    """One peer's process.

    Args:
        name: As it is printed.
        place: `module:function` within `benchmarks/peers/`.
        arguments: JSON values for the function.
        interpreters: Python interpreters to look for the peer's libraries in.
    """

    def __init__(self, name, place, arguments, interpreters):
        self.name = name
        self.seconds = []
        self.memory = None
        for interpreter in interpreters:
            self._process = subprocess.Popen(
                [interpreter, HERE / "turns.py", place, json.dumps(arguments)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                text=True,
            )
            answer = self._answer()
            self.problem = answer.get("problem")
            if not answer.get("missing"):
                break

    def turn(self):
        """Run once more, and note the seconds."""
        self._process.stdin.write("go\n")
        self._process.stdin.flush()
        answer = self._answer()
        self.problem = answer.get("problem")
        if not self.problem:
            self.memory = answer["memory"]
        return answer.get("seconds")

    def stop(self):
        """End the process."""
        self._process.kill()
        self._process.wait()

    def _answer(self):
        line = self._process.stdout.readline()
        return json.loads(line) if line else {"problem": "its process ended"}


def take_turns(peers, rounds, warm_up=True):
    """Let peers take turns, warmed up or not; slow ones once, the others `rounds` times."""
    for peer in peers:
        if warm_up and not peer.problem:
            peer.first = peer.turn()
    for number in range(rounds):
        for peer in peers:
            fastest = min((min(p.seconds) for p in peers if p.seconds), default=None)
            hopeless = number and min(peer.seconds, default=0) > _HOPELESS * fastest
            if not peer.problem and not hopeless:
                seconds = peer.turn()
                if not peer.problem:
                    peer.seconds.append(seconds)
                print(f"\r  round {number + 1} of {rounds}: {peer.name:40}", end="", flush=True)
    print("\r" + " " * 70, end="\r")


def median_ratio(peer, reference):
    """How many times faster than `reference`: the median over rounds, in which both took a turn."""
    return statistics.median(b / a for a, b in zip(peer.seconds, reference.seconds, strict=False))


def table(header, rows):
    """Print rows in aligned columns, as Markdown."""
    rows = [header, ["---", *["---:"] * (len(header) - 1)], *rows]
    widths = [max(len(str(cell)) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = [str(row[0]).ljust(widths[0])]
        cells += [str(cell).rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True)]
        print("| " + " | ".join(cells) + " |")


def _serve(place, arguments):
    """In the peer's process: build, then run once for every line that comes in."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # libraries print to standard output

    def answer(**values):
        answers.write(json.dumps(values) + "\n")
        answers.flush()

    os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
    sys.path[0] = str(HERE.parent)
    module, function = place.split(":")
    try:
        build = getattr(__import__(f"benchmarks.peers.{module}", fromlist=[function]), function)
        run = build(**arguments)
    except ImportError as error:
        return answer(problem=f"not installed: {error.name}", missing=True)
    except NotImplementedError as error:
        return answer(problem=str(error))
    answer()
    before = _resident("VmRSS")
    Path("/proc/self/clear_refs").write_text("5")  # the peak starts at what is in use now
    for _ in sys.stdin:
        start = time.perf_counter()
        try:
            run()
        except Exception as error:
            return answer(problem=f"{type(error).__name__}: {error}".splitlines()[0])
        seconds = time.perf_counter() - start
        answer(seconds=seconds, memory=_resident("VmHWM") - before)
    return None


def _resident(key):
    """Resident memory of this process, in MiB: `VmRSS` now, `VmHWM` at its peak."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(key):
            return int(line.split()[1]) / 1024
    raise LookupError(key)


if __name__ == "__main__":
    _serve(sys.argv[1], json.loads(sys.argv[2]))
