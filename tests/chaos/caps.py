#!/usr/bin/python3 -B
"""A cap under fire: workers race for a tenant's last cents while one of them dies every second.

tests/chaos/caps.py [--jobs N] [--cap DOLLARS] [--workers N]     the issue's size by default"""

import argparse
import contextlib
import json
import pathlib
import random
import sys
import time

HARNESS = pathlib.Path(__file__).resolve().parents[1] / "harness"
sys.path.insert(0, str(HARNESS))

import judge  # noqa: E402
import millrace  # noqa: E402

PICO = 10**12
# One call: 4,000 output tokens at half a dollar a million, and its prompt; about 0.2 cents.
PLAN = [("spend", "ask", True, [])]
MODEL, OUTPUT = "gpt-6-luna", 4000
RATES = {MODEL: (100_000, 10_000, 500_000)}


class Fire:
    def __init__(self, stack, jobs, cap, workers):
        self.stack, self.jobs, self.cap = stack, jobs, int(cap * PICO)
        judge.watch(stack)
        self.standin = stack.standin("--seed", "1")
        self.standin.script(f"delay=5-60+output={OUTPUT}", MODEL)
        key = stack.state / "standin.key"
        key.write_text("sk-caps\n")
        key.chmod(0o600)
        self.config = stack.config(
            f'providers: ( {{ name = "openai"; kind = "openai"; base_url = "{self.standin.url}/v1"; key_file = "{key}"; }} );\n'
            f'models: ( {{ alias = "default"; provider = "openai"; model = "{MODEL}"; }} );\n'
            'worker: { slots = 32; max_redeliveries = 1000; dead_after = "1s"; heartbeat = "300ms"; };\n'
            'pipelines: ( { name = "spend"; steps = ( { name = "ask"; kind = "chat"; model = "default";'
            f' prompt = "{{{{input.text}}}}"; max_tokens = {OUTPUT}; max_attempts = 100; }} ); }} );\n'
        )  # fmt: skip
        stack.sql("SELECT millrace.tenant_set('acme', %s)", self.cap)
        # A short tier brings home whom a dead worker's heartbeat still protects.
        stack.ops("rabbitmqctl", "-q", "set_policy", "--priority", "20", "--apply-to", "queues", "caps-short", "^millrace[.]delay[.]5s",
                  json.dumps({"message-ttl": 500, "max-length": 1000000, "overflow": "reject-publish"}))  # fmt: skip
        self.workers = [stack.worker(config=self.config) for _ in range(workers)]
        self.chance, self.kills, self.ids = random.Random(1), 0, []

    def kill_one(self):
        index = self.chance.randrange(len(self.workers))
        self.workers[index].kill()
        self.kills += 1
        self.workers[index] = self.stack.worker(config=self.config)

    def moving(self):
        """Jobs that still do something: not ended, and not waiting for the cap to have room."""
        ended = self.stack.value(
            "SELECT count(*) FROM millrace.jobs WHERE state IN ('done', 'dead') OR state = 'waiting' AND error_class = 'capped'"
        )
        return len(self.ids) - ended + self.stack.value("SELECT count(*) FROM millrace.calls WHERE state = 'open'")

    def enqueue(self, count):
        lines = "".join(json.dumps({"tenant": "acme", "pipeline": "spend", "input": {"text": f"Number {n}."}}) + "\n" for n in range(count))
        ids = self.stack.enqueue("--jsonl", "-", stdin=lines, env={"MILLRACE_CONFIG": str(self.config)})
        self.ids += ids
        return ids

    def burn(self):
        self.deadline = time.monotonic() + 400 * millrace.PATIENCE
        self.enqueue(self.jobs)
        self.until_quiet(1)
        # What holds took for a while must all be there again: others come and use it.
        self.first, before = self.committed(), -1
        while before < self.committed() <= self.cap:
            before = self.committed()
            self.enqueue(20)
            self.until_quiet(3600)

    def committed(self):
        return self.stack.value("SELECT coalesce(max(total), 0) FROM witness.sums WHERE tenant = 'acme' AND period = 'day'")

    def until_quiet(self, kill_every):
        next_kill = time.monotonic() + kill_every
        while self.moving():
            if time.monotonic() > self.deadline:
                raise AssertionError(f"{self.moving()} jobs still move")
            if time.monotonic() > next_kill:
                next_kill += kill_every
                self.kill_one()
            time.sleep(0.1)

    def result(self):
        """(faults, facts)"""
        for worker in self.workers:
            worker.kill()
        total = self.committed()
        high = self.stack.value("SELECT max(high) FROM witness.sums WHERE tenant = 'acme' AND period = 'day'")
        weighed = self.stack.value("SELECT count(DISTINCT xid) FROM witness.calls WHERE delta <> 0")
        rows = self.stack.sql("SELECT state, count(*), sum(cost_pico) FROM millrace.calls GROUP BY 1")
        spent = {state: f"{n} for ${float(pico) / PICO:.4f}" for state, n, pico in rows}
        faults, _ = judge.compare_money(self.stack, self.standin, RATES)
        # Parked jobs have not ended, and that is the point of it.
        broken = judge.witness_judge(self.stack, self.ids, self.ids, PLAN, ("capped", "ambiguous"), False)
        faults += [rule for rule in broken if not rule.startswith("every job has ended")]
        if high > self.cap:
            faults.append(f"${high / PICO:.6f} were committed at a commit")
        if total < 0.95 * self.cap:
            faults.append(f"only ${total / PICO:.6f} of the cap could be used")
        return faults, {
            "jobs": len(self.ids), "kills": self.kills, "commits weighed": weighed, "cap": f"${self.cap / PICO:.2f}",
            "most ever committed": f"${high / PICO:.6f}",
            "when the burst was over": f"${self.first / PICO:.6f}", "at the end": f"${total / PICO:.6f}", **spent,
        }  # fmt: skip

    def close(self):
        for worker in self.workers:
            worker.kill()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=20_000)
    parser.add_argument("--cap", type=float, default=1.0)
    parser.add_argument("--workers", type=int, default=8)
    options = parser.parse_args()
    with contextlib.closing(millrace.Stack()) as stack:
        stack.ok("init")
        started = time.monotonic()
        fire = Fire(stack, options.jobs, options.cap, options.workers)
        fire.burn()
        faults, facts = fire.result()
        print(f"{facts}\n{time.monotonic() - started:.0f} s")
        for fault in faults:
            print(f"! {fault}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
