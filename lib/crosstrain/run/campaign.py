"""How far a campaign is: what is done, running, failed and to do, and the hours that are left."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from crosstrain.run.store import Step, Store, upstream

MOST_LISTED = 50  # steps to do that are listed one by one


class Status(StrEnum):
    """How a step stands."""

    DONE = "done"
    RUNNING = "running"
    FAILED = "failed"
    TO_DO = "to do"


@dataclass(frozen=True)
class Standing:
    """How a step stands.

    Attributes
    ----------
    step
        The step.
    status
        Running: a living process holds its lock. Failed: its last try did.
    reason
        Of the failure, else empty.
    core_s
        Seconds on one core: measured if done, else estimated.
    """

    step: Step
    status: Status
    reason: str
    core_s: float


def standings(
    targets: Iterable[Step], store: Store, elsewhere: Sequence[Standing] = ()
) -> list[Standing]:
    """Return how targets, and all steps that they need, stand, in the order of work.

    What is not done is expected to miss its estimate as the steps that are done missed theirs:
    those of its kind and architecture, here or else `elsewhere`; without any those of its kind.

    Parameters
    ----------
    targets : iterable of Step
    store : Store
    elsewhere : sequence of Standing
        Of another campaign, whose steps that are done tell what they cost.

    Returns
    -------
    list of Standing
        Without scratch results that are not needed any more.
    """
    targets = list(targets)
    missing = {step.folder_name for step in store.to_compute(targets)}
    steps = upstream(targets)
    costs = {
        step.folder_name: store.provenance(step)["cost"]["cpu_s"]
        for step in steps
        if step.folder_name not in missing and store.is_current(step)
    }
    known = {at.step.folder_name: at.core_s for at in elsewhere if at.status == Status.DONE}
    pace = _pace([at.step for at in elsewhere if at.step.folder_name in known], known)
    pace |= _pace([step for step in steps if step.folder_name in costs], costs)
    found = []
    for step in steps:
        if step.folder_name in costs:
            found.append(Standing(step, Status.DONE, "", costs[step.folder_name]))
        elif step.folder_name in missing:
            status, reason = Status.TO_DO, store.failure(step)
            if store.is_running(step):
                status, reason = Status.RUNNING, ""
            elif reason:
                status = Status.FAILED
            factor = next((pace[alike] for alike in _alike(step) if alike in pace), 1.0)
            found.append(Standing(step, status, reason, step.estimate_s * factor))
    return found


def _alike(step: Step) -> list[tuple[str, str]]:
    """Which steps cost about alike, the most alike first."""
    kind = "label" if step.kind == "relabel" else step.kind
    return [(kind, step.params.get("architecture", "")), (kind, "")]


def _pace(steps: Sequence[Step], costs: dict[str, float]) -> dict[tuple[str, str], float]:
    """True cost of steps over their estimate."""
    spent: dict[tuple[str, str], float] = defaultdict(float)
    expected: dict[tuple[str, str], float] = defaultdict(float)
    for step in steps:
        for alike in set(_alike(step)):
            spent[alike] += costs[step.folder_name]
            expected[alike] += step.estimate_s
    return {alike: spent[alike] / expected[alike] for alike in spent}


def overall(parts: Sequence[Standing]) -> Status:
    """Return how several steps stand together: failed if one failed, then running, then to do."""
    found = {standing.status for standing in parts}
    order = (Status.FAILED, Status.RUNNING, Status.TO_DO)
    return next((status for status in order if status in found), Status.DONE)


def lines(found: Sequence[Standing]) -> list[str]:
    """Return what is not done, a line each, and a table of all kinds of step.

    Of more than `MOST_LISTED` steps to do the table alone tells.
    """
    n_to_do = sum(at.status == Status.TO_DO for at in found)
    hidden = {Status.DONE} | ({Status.TO_DO} if n_to_do > MOST_LISTED else set())
    listed = [
        f"  {at.status:8s}{at.step.kind:16s}{at.step.name:50s}{at.core_s / 3600:7.2f} h"
        + f"  {at.reason}".rstrip()
        for at in found
        if at.status not in hidden
    ]
    if Status.TO_DO in hidden:
        listed.append(f"  {Status.TO_DO:8s}{n_to_do} steps, by kind:")
    counts: dict[str, Counter[Status]] = defaultdict(Counter)
    left_s: dict[str, float] = defaultdict(float)
    for at in found:
        counts[at.step.kind][at.status] += 1
        left_s[at.step.kind] += at.core_s if at.status != Status.DONE else 0.0
    heading = "steps".ljust(16) + "".join(f"{status:>9s}" for status in Status)
    table = [
        f"{kind:16s}"
        + "".join(f"{n[status]:9d}" for status in Status)
        + f"{left_s[kind] / 3600:14.1f}"
        for kind, n in counts.items()
    ]
    return [*listed, heading + "  core h left", *table]


def summary(found: Sequence[Standing], workers: int, gpu_cores: float | None = None) -> str:
    """Return number of steps by status and the hours that are left, in a line.

    Parameters
    ----------
    found : sequence of Standing
    workers : int
        Steps at a time.
    gpu_cores : float, optional
        How many cores a GPU is worth, for steps that want one; default: a single one.
    """
    number = Counter(at.status for at in found)
    hours, gpu_h = hours_left(found)
    wall_h = (hours - gpu_h + gpu_h / (gpu_cores or 1)) / workers
    on = ", all on cores" if gpu_h else ""
    if gpu_h and gpu_cores:
        on = f" where a GPU is worth {gpu_cores:g} cores"
    to_compute = len(found) - number[Status.DONE]
    return (
        f"{number[Status.DONE]} steps stored, {to_compute} to compute "
        f"({number[Status.RUNNING]} running, {number[Status.FAILED]} failed): about {hours:.1f} "
        f"core hours, {wall_h:.1f} hours with {workers} workers{on}"
    )


def hours_left(found: Sequence[Standing]) -> tuple[float, float]:
    """Return the core hours of what is not done, and of those the ones of steps for a GPU."""
    left = [at for at in found if at.status != Status.DONE]
    hours = sum(at.core_s for at in left) / 3600
    return hours, sum(at.core_s for at in left if at.step.wants_gpu) / 3600
