"""One view of long work: what runs, what is done, and the time left."""

from __future__ import annotations

import sys
import time
from datetime import timedelta

from crosstrain.run.store import Step


class Progress:
    """Show the course of many steps: a live line on a terminal, else a line per finished step."""

    def __init__(self, steps: list[Step], workers: int, *, quiet: bool = False) -> None:
        self._total = len(steps)
        self._workers = workers
        self._left_s = self._planned_s = sum(step.estimate_s for step in steps)
        self._done = self._spent_s = self._estimated_s = 0.0
        self._running: dict[str, tuple[Step, float]] = {}
        self._quiet = quiet
        self._is_live = sys.stderr.isatty()

    def __enter__(self) -> Progress:
        self._say(f"{self._total} steps to compute, about {_clock(self._time_left_s())}")
        return self

    def __exit__(self, *_: object) -> None:
        if self._is_live and not self._quiet:
            sys.stderr.write("\r\033[K")

    def started(self, step: Step) -> None:
        """Note that a step has begun."""
        self._running[step.folder_name] = step, time.monotonic()

    def finished(self, step: Step, failure: str) -> None:
        """Note that a step has ended, with the reason if it failed."""
        _, begun = self._running.pop(step.folder_name)
        wall_s = time.monotonic() - begun
        self._done += 1
        self._left_s -= step.estimate_s
        self._spent_s += wall_s
        self._estimated_s += step.estimate_s
        outcome = f"FAILED: {failure}" if failure else f"{wall_s:.1f} s"
        self._say(
            f"[{self._done:.0f}/{self._total}] {step.folder_name}  {outcome}  "
            f"left {_clock(self._time_left_s())}"
        )

    def dropped(self, steps: list[Step]) -> None:
        """Note that steps will not be run."""
        self._total -= len(steps)
        self._left_s -= sum(step.estimate_s for step in steps)

    def tick(self) -> None:
        """Redraw the live line."""
        if self._is_live and not self._quiet:
            now = time.monotonic()
            parts = [
                f"{step.kind} {step.name} {now - begun:.0f} s"
                for step, begun in self._running.values()
            ]
            line = f"{self._done:.0f}/{self._total}  {', '.join(parts)}"
            sys.stderr.write(f"\r\033[K{line[:110]}  left {_clock(self._time_left_s())}")
            sys.stderr.flush()

    def _time_left_s(self) -> float:
        """Estimate from the plan's own estimates, corrected by how long its steps really took."""
        now = time.monotonic()
        gone_s = sum(min(now - begun, s.estimate_s) for s, begun in self._running.values())
        prior_s = 0.05 * self._planned_s  # so that the first short steps do not mislead
        correction = (self._spent_s + prior_s) / (self._estimated_s + prior_s)
        return max(0.0, self._left_s - gone_s) * correction / self._workers

    def _say(self, text: str) -> None:
        if not self._quiet:
            start = "\r\033[K" if self._is_live else ""
            sys.stderr.write(f"{start}{text}\n")
            sys.stderr.flush()


def _clock(seconds: float) -> str:
    return str(timedelta(seconds=round(seconds)))
