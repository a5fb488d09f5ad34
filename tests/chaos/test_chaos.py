"""Workers die every second, the broker and the database are restarted, and nothing is lost."""

import json
import random
import threading
import time

import judge
import millrace

JOBS = 600
WORKERS = 3
SECONDS = 12
# The ceiling, for the stand-in is no provider of the price list: pico-dollars a token.
RATES = {"standin": (30_000_000, 30_000_000, 100_000_000)}
MANNERS = (
    "delay=100-600"  # so that calls are under way whenever somebody dies
    # Each 429 halves the calls the fleet has out at once: a few, or the run takes for ever.
    "+error=429@1+retry_after=1+error=503@3+hangup=after@1+hangup=before@1+truncate@1"
)


class Fleet:
    """Keeps WORKERS running until told otherwise."""

    def __init__(self, stack, config):
        self.stack, self.config = stack, config
        self.workers = [stack.worker(config=config) for _ in range(WORKERS)]
        self.kills = 0

    def kill_one(self, chance):
        index = chance.randrange(WORKERS)
        self.workers[index].kill()
        self.kills += 1
        self.workers[index] = self.stack.worker(config=self.config)

    def stop(self):
        return [worker.stop() for worker in self.workers]


class ChaosTest(millrace.StackCase):
    def enqueue(self, n):
        lines = "".join(
            json.dumps({
                "tenant": f"t{i % 7}",
                "pipeline": "document",
                "priority": i % 10 + 1,
                "input": {"text": f"Document {i}. Ada Lovelace paid 12 EUR to Acme Ltd in London."},
            }) + "\n"
            for i in range(n)
        )  # fmt: skip
        return self.stack.enqueue("--jsonl", "-", stdin=lines)

    def run_chaos(self, jobs, seconds, events):
        """events: {second: ops/stack arguments}"""
        judge.watch(self.stack)
        standin = self.stack.standin("--seed", "42")
        standin.script(MANNERS)
        config = self.stack.config(
            standin.config() + "worker: { slots = 32; max_redeliveries = 100; dead_after = \"4s\"; heartbeat = \"1s\"; };\n"
        )
        ids = self.enqueue(jobs)
        self.assertEqual(len(set(ids)), jobs)
        fleet = Fleet(self.stack, config)
        chance = random.Random(7)
        background = []
        for second in range(seconds):
            time.sleep(1)
            fleet.kill_one(chance)
            if second in events:
                background.append(threading.Thread(target=self.stack.ops, args=events[second]))
                background[-1].start()
        for thread in background:
            thread.join()
        states = self.stack.wait_ended(ids, 300)
        self.assertEqual(states, {"done": jobs})
        self.stack.wait_queues_empty(60)
        self.assertEqual(fleet.stop(), [0] * WORKERS)
        # Not strict: the limits that 429s teach may hold a next call back.
        self.assertEqual(judge.witness_judge(self.stack, ids, ids, strict=False), [])
        faults, facts = judge.compare_money(self.stack, standin, RATES)
        print(f"# {fleet.kills} kills, calls: {facts}")
        self.assertEqual(faults, [])

    def test_kills_and_restarts(self):
        self.run_chaos(JOBS, SECONDS, {4: ("restart", "broker"), 9: ("restart", "database")})


if __name__ == "__main__":
    millrace.main()
