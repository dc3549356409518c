"""Random faults over a load without end: ``python -m bench.chaos -n 100 [--seed SEED]``."""

from __future__ import annotations

import argparse
import tempfile
import time
from collections import defaultdict
from pathlib import Path

from bench.chaos.trial import NAMES, Trials, Verdict
from sentinel import log

#: Most seconds until all goes on after a fault, and until a worker that is asked to has stopped.
RESUME_S, STOP_S = 15.0, 10.0
COLUMNS = "{:<18}{:>6}{:>10}{:>8}{:>6}{:>9}{:>9}{:>15}"


def main() -> int:
    """Run the trials; return 0 if nothing was lost or doubled and all resumed in time."""
    parser = argparse.ArgumentParser(prog="python -m bench.chaos", description=__doc__)
    parser.add_argument("-n", type=int, default=20, help="number of faults")
    parser.add_argument("--seed", type=int, default=time.time_ns() % 1_000_000)
    parser.add_argument("faults", nargs="*", metavar="FAULT", help=f"of {', '.join(NAMES)}")
    given = parser.parse_args()
    if unknown := set(given.faults) - set(NAMES):
        parser.error(f"expected faults of {', '.join(NAMES)}; found {', '.join(unknown)}")
    print(f"seed {given.seed}: `make chaos N={given.n} SEED={given.seed}` runs the same again")
    log.configure("CRITICAL")  # of the oracle; workers have logs of their own
    verdicts: list[Verdict] = []
    with tempfile.TemporaryDirectory(prefix="sentinel-chaos-") as home:
        trials = Trials(Path(home), given.seed)
        try:
            trials.start()
            for number in range(given.n):
                name = trials.random.choice(given.faults or trials.possible())
                verdicts.append(trials.run(name))
                tell(number + 1, verdicts[-1])
        finally:
            trials.stop()
            tabulate(verdicts)
    slowest = max(trials.platform.stop_s, default=0.0)
    print(f"workers stopped within {slowest:.1f} s")
    late = slowest > STOP_S or any(verdict.resume_s > RESUME_S for verdict in verdicts)
    return int(late or not all(verdict.clean for verdict in verdicts))


def tell(number: int, verdict: Verdict) -> None:
    """Print one line on a trial, and what went wrong in it."""
    state = "ok" if verdict.clean else "WRONG"
    print(
        f"{number:4d} {verdict.fault:<18} {verdict.messages:6d} records, "
        f"resumed in {verdict.resume_s:4.1f} s: {state}",
        flush=True,
    )
    for line in verdict.details:
        print(f"     {line}", flush=True)


def tabulate(verdicts: list[Verdict]) -> None:
    """Print one row a fault."""
    by_fault: dict[str, list[Verdict]] = defaultdict(list)
    for verdict in verdicts:
        by_fault[verdict.fault].append(verdict)
    by_fault = dict(sorted(by_fault.items())) | {"all": verdicts}
    names = ("fault", "times", "records", "poison", "lost", "doubled", "balance", "worst resume s")
    print(COLUMNS.format(*names))
    for name, rows in by_fault.items():
        print(
            COLUMNS.format(
                name,
                len(rows),
                sum(row.messages for row in rows),
                sum(row.poison for row in rows),
                sum(row.lost for row in rows),
                sum(row.doubled for row in rows),
                max((row.balance for row in rows), default=0),
                f"{max((row.resume_s for row in rows), default=0.0):.1f}",
            )
        )


if __name__ == "__main__":
    raise SystemExit(main())
