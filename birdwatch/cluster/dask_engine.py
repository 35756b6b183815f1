"""The Dask engine: Dask distributes units; the store, not Dask, records which ones are done.

Tasks return only how each recording went. Whatever dies, worker, scheduler or driver, a run that is started again with
--resume scores what is not committed.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from birdwatch.audio.isolated import Decoders
from birdwatch.batch.jobs import Job
from birdwatch.batch.local_runner import Outcome, View
from birdwatch.batch.prepared import Prepared
from birdwatch.batch.progress import Meter
from birdwatch.batch.run_database import RunDatabase
from birdwatch.cluster.commits import CommitStore, job_hash
from birdwatch.cluster.folding import Folding
from birdwatch.cluster.plan import Plan, read_plan, write_plan
from birdwatch.cluster.plan_text import with_absolute_paths
from birdwatch.cluster.sections import SECTION_S, cutting_of, whole
from birdwatch.cluster.store_files import StorePlace, place_of
from birdwatch.cluster.worker import Worker, default_threads
from birdwatch.errors import BirdwatchError, ConfigError
from birdwatch.extras import install_command

if TYPE_CHECKING:
    from distributed import Client

__all__ = ["CLUSTERS", "DaskEngine", "score_unit"]

ClusterName = Literal["local", "slurm", "pbs", "sge"]
CLUSTERS: tuple[ClusterName, ...] = ("local", "slurm", "pbs", "sge")
# Units queued at the scheduler per worker: enough to keep workers busy, and few enough to keep it small.
WINDOW = 2
LOOK_UP_S = 0.2
# A unit whose worker died is retried one recording at a time; a recording that kills its worker is not tried again.
ALLOWED_FAILURES = 0

_workers: dict[str, tuple[Worker, Decoders]] = {}


def score_unit(store: str, numbers: Sequence[int]) -> list[str]:
    """On a worker: score parts of the plan in `store`; the faults of those that failed.

    The model is loaded once per process.
    """
    if store not in _workers:
        default_threads()
        plan = read_plan(place_of(store))
        decoders = Decoders(plan.request.jobs)
        _workers[store] = Worker.open(plan, decoders=decoders), decoders
    worker, _ = _workers[store]
    return [outcome.fault for outcome in worker.score(numbers) if outcome.fault]


@dataclass(slots=True)
class DaskEngine:
    """An engine over Dask workers. store: a folder, here or in an object store, that all of them can read and write.

    cluster: where workers are started, `count` of them; scheduler: the address of one that runs already, instead.
    notice: is called with lines for the user. section_s: see `cutting_of`.
    """

    store: StorePlace
    cluster: ClusterName
    count: int
    scheduler: str | None
    notice: Callable[[str], None]
    section_s: float = SECTION_S
    folding: Folding | None = field(default=None, init=False)

    def __call__(
        self, jobs: Sequence[Job], plan: Prepared, database: RunDatabase, meter: Meter, view: View
    ) -> list[Outcome]:
        """Score `jobs` and fold each as it is committed. Raises BirdwatchError."""
        store = CommitStore(self.store, plan.parameters)
        # Runs that share a store have other options, or other recordings left: each has a plan of its own.
        named = repr(with_absolute_paths(plan.request)) + "".join(job_hash(job, plan.parameters) for job in jobs)
        names = hashlib.sha256(named.encode("utf-8", "surrogatepass")).hexdigest()
        folder = self.store / "plans" / names[:16]
        cutting = cutting_of(plan.scoring, jobs, section_s=self.section_s)
        shared = write_plan(folder, plan.request, plan.parameters, jobs, cutting, store=self.store)
        folding = Folding(store, cutting, plan.scoring)
        self.folding = folding
        outcomes: dict[tuple[str, int], Outcome] = {}
        parts = [part for job in jobs for part in cutting.parts(job)]
        waiting = Counter(part.key for part in parts)
        reasons: dict[tuple[str, int], str] = {}

        def take(numbers: Sequence[int], lost: str = "") -> None:
            for number in numbers:
                job = whole(parts[number])
                waiting[job.key] -= 1
                reasons[job.key] = lost or reasons.get(job.key, "it was not scored; see the workers' logs")
                if waiting[job.key]:
                    continue
                outcome = folding.take(job, database, meter, show)
                if outcome is None:
                    meter.finish(job, failed=True)
                    outcome = Outcome(job, fault=reasons[job.key])
                outcomes[job.key] = outcome

        with view(meter) as show, self._client() as client:
            self.notice(f"birdwatch: Dask's dashboard: {client.dashboard_link}")
            left, there = [], store.have_parts(parts)
            for unit in shared.units:
                if all(there[number] for number in unit):
                    take(unit)
                else:
                    left.append(unit)
            for numbers, error in results(client, shared, left, window=WINDOW * max(1, self.count), show=show):
                if error is None:
                    take(numbers)
                    continue
                # To find the recording that caused it, each is scored alone; committed ones are not scored again.
                done = store.have_parts([parts[number] for number in numbers])
                alone = [(number,) for number, there_now in zip(numbers, done, strict=True) if not there_now]
                take([number for number, there_now in zip(numbers, done, strict=True) if there_now])
                for single, fault in results(client, shared, alone, window=max(1, self.count), show=show):
                    take(single, lost="" if fault is None else f"it ended the worker that scored it ({fault})")
        for line in folding.differing():
            self.notice(f"birdwatch: warning: {line}")
        return [outcomes[job.key] for job in jobs]

    @contextmanager
    def _client(self) -> Iterator[Client]:
        """A client of the workers; those that were started here end with it."""
        try:
            import dask
            from distributed import Client, LocalCluster
            from distributed.security import Security
        except ImportError:
            raise ConfigError(f"--engine dask needs dask: {install_command('cluster')}") from None
        settings = {
            "distributed.scheduler.allowed-failures": ALLOWED_FAILURES,
            "distributed.worker.daemon": False,
            "distributed.scheduler.work-stealing": False,
        }
        # Its servers announce on stderr when they start and end, and a lost scheduler is a traceback there; we have one
        # line for that.
        logging.getLogger("distributed").setLevel(logging.WARNING)
        logging.getLogger("distributed.client").setLevel(logging.CRITICAL)
        with ExitStack() as stack:
            stack.enter_context(dask.config.set(settings))
            if self.scheduler is not None:
                if not self.scheduler.startswith("tls://"):
                    self.notice(
                        f"birdwatch: warning: anyone who can reach {self.scheduler} can run programs on its workers; "
                        "use tls:// with Dask's certificates"
                    )
                yield stack.enter_context(Client(self.scheduler))
                return
            # Anyone who can reach a scheduler can run programs on its workers, so this run's certificate is required.
            security = Security.temporary()
            cluster: Any
            if self.cluster == "local":
                cluster = LocalCluster(
                    n_workers=self.count,
                    threads_per_worker=1,
                    processes=True,
                    security=security,
                    protocol="tls://",
                    host="127.0.0.1",
                    dashboard_address="127.0.0.1:0",
                )
            else:
                cluster = job_queue(self.cluster, security, shared_folder(self.store))
                cluster.scale(self.count)
            stack.enter_context(cluster)
            yield stack.enter_context(Client(cluster))


def shared_folder(store: StorePlace) -> Path:
    """A folder of this file system for the certificates of batch jobs: the store, or the user's own beside a bucket."""
    return store if isinstance(store, Path) else Path.home() / ".birdwatch-jobs"


def job_queue(name: ClusterName, security: Any, folder: Path) -> Any:
    """A cluster whose workers are batch jobs; queue, walltime and memory come from Dask's own configuration."""
    try:
        import dask_jobqueue
    except ImportError:
        raise ConfigError(f"--cluster {name} needs dask-jobqueue: {install_command('cluster')}") from None
    kinds = {"slurm": "SLURMCluster", "pbs": "PBSCluster", "sge": "SGECluster"}
    folder.mkdir(parents=True, exist_ok=True)
    try:
        return getattr(dask_jobqueue, kinds[name])(
            cores=1, processes=1, security=security, protocol="tls://", shared_temp_directory=str(folder)
        )
    except ValueError as error:
        raise ConfigError(
            f"--cluster {name} lacks a setting ({error}); write it into ~/.config/dask/jobqueue.yaml, see "
            "docs/cluster.md"
        ) from None


def results(
    client: Client,
    plan: Plan,
    units: Sequence[Sequence[int]],
    *,
    window: int,
    show: Callable[[], None],
) -> Iterator[tuple[Sequence[int], str | None]]:
    """Each unit as it is done, with why its worker died, or None; at most `window` are at the scheduler at once.

    Raises BirdwatchError where the scheduler is lost: no unit is to blame, and what is committed stays.
    """
    from distributed import wait

    waiting = iter(units)
    running: dict[Any, Sequence[int]] = {}

    def submit(count: int) -> None:
        for unit in islice(waiting, count):
            # Not pure: a key made of the arguments would give back an old failure.
            running[client.submit(score_unit, str(plan.folder), unit, pure=False, retries=0)] = unit

    submit(window)
    while running:
        try:
            with suppress(TimeoutError):
                wait(list(running), timeout=LOOK_UP_S, return_when="FIRST_COMPLETED")
            show()
            for future in [future for future in running if future.done()]:
                unit = running.pop(future)
                error = future.exception()
                if error is not None and type(error).__name__ != "KilledWorker":
                    # Cancelled, too, where it is the scheduler that is lost.
                    raise error
                submit(1)
                yield unit, None if error is None else type(error).__name__
                future.release()
        except CancelledError as error:
            raise BirdwatchError(
                f"the connection to Dask's scheduler was lost; what is committed is in {plan.store}: start the same "
                "run again, with --resume"
            ) from error
