"""One tenant's flood must not hold up the others in the same lane.

The shards of a tenant follow from its name (common/shard.c; 8 shards): flood 1 and 3, tide
2 and 0, bay 5 and 6, acme 6 and 1."""

import json

import millrace

FLOOD, QUIET = 2000, 100
# Programs share the machine's two cores with broker, database and provider, which the idle run has
# for itself: what that may add to a job.
NOISE = 0.1


def lines(count):
    return "".join(json.dumps({"input": {"text": f"Job {i}."}}) + "\n" for i in range(count))


class FairTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.standin = cls.stack.standin()
        cls.config = cls.stack.config(cls.standin.config() + 'worker: { log_level = "warn"; };\n')

    def setUp(self):
        self.stack.sql("TRUNCATE millrace.jobs, millrace.steps, millrace.calls")
        self.standin.script("")
        self.worker = self.stack.worker(config=self.config)
        # The first job tells that it consumes.
        self.stack.wait_ended(self.stack.enqueue("--pipeline", "prompt", "--tenant", "first", "--text", "x"))

    def tearDown(self):
        self.worker.kill()

    def send(self, tenant, count):
        return self.stack.enqueue("--pipeline", "prompt", "--tenant", tenant, "--jsonl", "-", stdin=lines(count))

    def percentiles(self, ids):
        """Seconds from a job's making to its end: median and 99th percentile."""
        self.assertEqual(self.stack.wait_ended(ids), {"done": len(ids)})
        return self.stack.sql(
            "SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY s), percentile_cont(0.99) WITHIN GROUP (ORDER BY s)"
            " FROM (SELECT extract(epoch FROM ended_at - created_at)::float8 AS s FROM millrace.jobs"
            " WHERE id = ANY(%s::uuid[])) t", ids)[0]  # fmt: skip

    def compare(self, quiet, *floods, delay="400"):
        """The quiet tenant's jobs alone, then behind the floods of others."""
        self.standin.script(f"delay={delay}")
        idle = self.percentiles(self.send(quiet, QUIET))
        flood = [job for tenant in floods for job in self.send(tenant, FLOOD)]
        busy = self.percentiles(self.send(quiet, QUIET))
        left = len(flood) - self.stack.states(flood).get("done", 0)
        print(f"# {quiet} beside {' and '.join(floods)}: p50 {idle[0]:.3f} -> {busy[0]:.3f} s,"
              f" p99 {idle[1]:.3f} -> {busy[1]:.3f} s, {left} jobs of the flood left")  # fmt: skip
        self.assertGreater(left, FLOOD / 2, "the flood was over before it could hold anybody up")
        self.assertLessEqual(busy[1], 2 * idle[1] + NOISE)
        self.assertEqual(self.stack.wait_ended(flood, 120), {"done": len(flood)})

    def test_beside_a_flood(self):
        self.compare("bay", "flood")

    def test_sharing_one_queue_with_a_flood(self):
        self.compare("acme", "flood")

    def test_between_two_floods_that_take_every_slot(self):
        """Slots fall free one by one, as with a real provider, and go to the one that has none."""
        self.compare("bay", "flood", "tide", delay="200-600")


if __name__ == "__main__":
    millrace.main()
