"""Run the targets for a stated time each, and keep what breaks one: `make fuzz`.

    python -m tests.fuzz.guided [--seconds N] [TARGET ...]

Each target has a process of its own, since libFuzzer ends its process when it is done or has found
something. What was learned stays in .fuzz/TARGET/corpus, so that the next run goes on from there;
what breaks a target lies in .fuzz/TARGET as crash-..., timeout-... or oom-..., and belongs into
tests/fuzz/guided/found/TARGET with the mend. The exit code is 1 where anything was found.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
from pathlib import Path

SECONDS = 60
SLOW = 10  # seconds for one input: more is a finding
MEMORY = 1024  # MiB for the process: more is a finding
LONGEST = 16384  # octets of an input
WORK = Path(".fuzz")


def fuzz(name: str, seconds: int) -> None:
    """In this process, which it ends."""
    import atheris

    with atheris.instrument_imports(include=["lamson", "lamson_lmtp", "lamson_milter"]):
        from tests.fuzz.guided.targets import SEEDS, TARGETS

    corpus = WORK / name / "corpus"
    corpus.mkdir(parents=True, exist_ok=True)
    for number, seed in enumerate(SEEDS[name]):
        (corpus / f"seed-{number}").write_bytes(seed)
    options = [
        f"-max_total_time={seconds}",
        f"-timeout={SLOW}",
        f"-rss_limit_mb={MEMORY}",
        f"-max_len={LONGEST}",
        f"-artifact_prefix={WORK / name}/",
        "-print_final_stats=1",
    ]
    atheris.Setup([name, *options, str(corpus)], TARGETS[name])
    atheris.Fuzz()


def main() -> int:
    from tests.fuzz.guided.targets import TARGETS

    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.guided")
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(TARGETS))
    parser.add_argument("--seconds", type=int, default=SECONDS, help="for each target")
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if unknown := sorted(set(given.targets) - set(TARGETS)):
        parser.error(f"no target {', '.join(unknown)}; there are {', '.join(TARGETS)}")
    if given.inside:
        fuzz(given.targets[0], given.seconds)
        return 0
    broken = []
    for name in given.targets or TARGETS:
        argv = [sys.executable, "-m", "tests.fuzz.guided", "--inside", "--seconds"]
        ran = subprocess.run(
            [*argv, str(given.seconds), name], stderr=subprocess.PIPE, text=True, check=False
        )
        stats = dict(
            line.removeprefix("stat::").split(":", 1)
            for line in ran.stderr.splitlines()
            if line.startswith("stat::")
        )
        inputs = stats.get("number_of_executed_units", "?").strip()
        if ran.returncode == 0:
            print(f"{name:18} {inputs:>10} inputs, nothing found", flush=True)
            continue
        broken.append(name)
        print(f"{name:18} broken: see {WORK / name}\n{ran.stderr[-4000:]}", flush=True)
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
