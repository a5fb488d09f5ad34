"""A provider at two addresses, of which one goes away and comes back."""

import json
import time

import millrace

TEXT = "The mill by the river was sold in 1912."


def configuration(first, second):
    return f"""
providers: ( {{ name = "p"; kind = "openai"; endpoints = (
    {{ name = "a"; base_url = "{first.url}/v1"; weight = 10; health = "/models"; }},
    {{ name = "b"; base_url = "{second.url}/v1"; }} ); }} );
models: ( {{ alias = "m"; provider = "p"; model = "standin"; }} );
breaker: {{ open = "60s"; }};
pipelines: ( {{ name = "routes"; steps = ( {{ name = "call"; kind = "chat"; model = "m"; prompt = "{{{{input.text}}}}"; }} ); }} );
"""


class RoutesTest(millrace.StackCase):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.first, cls.second = cls.stack.standin(), cls.stack.standin()
        cls.config = cls.stack.config(configuration(cls.first, cls.second))
        cls.stack.env["MILLRACE_CONFIG"] = str(cls.config)
        cls.worker = cls.stack.worker(config=cls.config)

    def run_jobs(self, n):
        ids = [self.stack.enqueue("--pipeline", "routes", "--text", f"{TEXT} {i}")[0] for i in range(n)]
        self.assertEqual(self.stack.wait_ended(ids, 60), {"done": n})
        return ids

    def endpoints(self, ids, state):
        query = "SELECT endpoint, count(*) FROM millrace.calls WHERE job_id = ANY(%s::uuid[]) AND state = %s GROUP BY 1"
        return dict(self.stack.sql(query, ids, state))

    def told(self, event):
        lines = [json.loads(line) for line in self.worker.text().splitlines() if f'"{event}"' in line]
        return [line for line in lines if line["event"] == event]

    def test_down_and_up_again(self):
        self.assertEqual(self.endpoints(self.run_jobs(10), "settled"), {"a": 10})
        self.first.script("error=503")
        began = time.monotonic()
        ids = self.run_jobs(10)
        self.assertEqual(self.stack.states(ids), {"done": 10})
        print(f"# ten jobs in {time.monotonic() - began:.1f} s while the first endpoint was down")
        settled = self.endpoints(ids, "settled")
        self.assertEqual(settled.get("b", 0) + settled.get("a", 0), 10)
        self.assertGreater(settled.get("b", 0), 0)
        self.assertEqual(len(self.told("breaker.open")), 1)
        self.first.script("")
        millrace.wait_until("the health path to be asked", lambda: self.told("breaker.half_open"), 20)
        self.run_jobs(10)
        millrace.wait_until("the breaker to close", lambda: self.run_jobs(1) and self.told("breaker.closed"), 60)
        self.assertIn("a", self.endpoints(self.run_jobs(5), "settled"))


if __name__ == "__main__":
    millrace.main()
