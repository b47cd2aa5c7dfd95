"""What a type checker says of code that uses the package."""

import json
import subprocess
import sys
from pathlib import Path

FOLDER = Path(__file__).parent / "typing"


def test_a_type_checker_reports_what_is_misused_and_nothing_else():
    command = [sys.executable, "-m", "basedpyright", "--outputjson", "--project", str(FOLDER)]
    done = subprocess.run(
        [*command, "--pythonpath", sys.executable], capture_output=True, text=True, check=False
    )
    diagnostics = json.loads(done.stdout)["generalDiagnostics"]
    reported = {
        found["range"]["start"]["line"] + 1 for found in diagnostics if found["severity"] == "error"
    }
    lines = (FOLDER / "misuse.py").read_text().splitlines()
    assert reported == {n for n, line in enumerate(lines, start=1) if line.endswith("# misuse")}
