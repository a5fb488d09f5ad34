"""Runs plans on lanes, several at a time, and reports."""

import multiprocessing
import pathlib
import shutil
import time
import traceback

import lane as lanes
import plan as plans

TABLES = [f"millrace.{t}" for t in ("jobs", "steps", "calls", "workers", "tenants", "spend", "answers")]
TABLES += [f"witness.{t}" for t in ("jobs", "steps", "calls", "faults", "sums", "tenants")]


def report(plan, faults, facts, kept):
    lines = [f"{'FAIL' if faults else 'ok'} {plan.seed}  {facts}"]
    if faults:
        lines += [str(plan), *(f"  ! {fault}" for fault in faults), f"  replay: {plan.replay()}"]
        lines += [f"  logs and tables: {kept}"] if kept else []
    return "\n".join(lines)


def keep(lane, plan, folder):
    """The programs' logs and a dump of the tables, for whoever looks into it."""
    where = pathlib.Path(folder) / f"seed-{plan.seed}"
    shutil.rmtree(where, ignore_errors=True)
    where.mkdir(parents=True)
    for path in [*lane.stack.folder.glob("worker-*.log"), *lane.folder.iterdir()]:
        shutil.copy(path, where)
    for table in TABLES:
        rows = lane.stack.sql(f"SELECT row_to_json(t)::text FROM {table} t")
        (where / f"{table}.jsonl").write_text("".join(row[0] + "\n" for row in rows))
    return where


class Drive:
    """names: seeds and points. seconds: no run begins later. folder: keep what failing runs leave."""

    def __init__(self, names, lanes_at_once=1, seconds=float("inf"), folder=None, stop=False):
        self.names, self.lanes, self.folder, self.stop = names, lanes_at_once, folder, stop
        self.end = time.monotonic() + seconds
        self.next = multiprocessing.Value("q", 0)
        self.failed = multiprocessing.Value("q", 0)
        self.results = multiprocessing.SimpleQueue()

    def _take(self):
        with self.next.get_lock():
            index = self.next.value
            self.next.value += 1
        over = index >= len(self.names) or time.monotonic() > self.end or self.stop and self.failed.value
        return None if over else plans.of(self.names[index])

    def _one(self, lane, plan):
        """True when the lane is fit for another run."""
        for file in [*lane.stack.folder.glob("worker-*.log"), *lane.folder.iterdir()]:
            file.unlink()
        kept = None
        try:
            faults, facts = lane.run(plan)
            if faults and self.folder:
                kept = keep(lane, plan, self.folder)
        except Exception:
            faults, facts = [traceback.format_exc()], {}
        if faults:
            with self.failed.get_lock():
                self.failed.value += 1
        fired = {plan.rules[i].split()[2] for i in facts.get("fired", ())}
        self.results.put((plan.seed, bool(faults), report(plan, faults, facts, kept), facts, fired))
        return not faults

    def _work(self):
        lane = None
        try:
            while plan := self._take():
                lane = lane or lanes.Lane()
                if not self._one(lane, plan):
                    lane.close()  # whatever state it is in
                    lane = None
        finally:
            if lane:
                lane.close()
            self.results.put(None)

    def run(self):
        """Yields (name, failed, report, facts, points at which faults were met) as runs end."""
        processes = [multiprocessing.Process(target=self._work) for _ in range(self.lanes)]
        for process in processes:
            process.start()
        left = len(processes)
        try:
            while left:
                result = self.results.get()
                if result:
                    yield result
                else:
                    left -= 1
        finally:
            for process in processes:
                if left:
                    process.terminate()
                process.join()
