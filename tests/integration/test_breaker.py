"""A provider dies: its breaker opens, traffic moves on within a second, and comes back by itself. No job dies."""

import time

import millrace

PIPELINE = """
pipelines: ( { name = "ask"; steps = (
    { name = "answer"; kind = "chat"; model = "asked"; task = "summary"; prompt = "{{input.text}}"; max_tokens = 64; }
); } );
worker: { slots = 16; };
breaker: { open = "3s"; };
"""


def provider(name, *endpoints):
    """Configuration text of a provider with these {name: stand-in} endpoints."""
    places = ", ".join(f'{{ name = "{e}"; base_url = "{s.url}/v1"; }}' for e, s in endpoints)
    return f'{{ name = "{name}"; kind = "openai"; endpoints = ( {places} ); }}'


class BreakerTest(millrace.StackCase):
    def setUp(self):
        self.workers = []
        self.addCleanup(lambda: [w.stop() for w in self.workers])

    def start(self, providers, models):
        config = self.stack.config(
            f"providers: ( {', '.join(providers)} );\nmodels: ( {', '.join(models)} );\n{PIPELINE}",
            name=f"{self.id().split('.')[-1]}.cfg",
        )
        self.workers.append(self.stack.worker(config=config))
        self.config = config

    def enqueue(self, n):
        return self.stack.enqueue(
            "--jsonl", "-", "--pipeline", "ask", env={"MILLRACE_CONFIG": str(self.config)},
            stdin="".join(f'{{"input": {{"text": "Job {i}."}}}}\n' for i in range(n)),
        )  # fmt: skip

    def standin(self, *args):
        standin = self.stack.standin(*args)
        standin.script("delay=20-60")
        return standin

    def calls(self, ids, where):
        return self.stack.value(
            f"SELECT count(*) FROM millrace.calls WHERE job_id = ANY(%s::uuid[]) AND {where}", ids
        )

    def kill(self, standin):
        """As a machine dies: nobody answers, and connections are refused."""
        standin.process.kill()
        standin.process.wait()
        return time.time()

    def died_and_moved(self, ids, dead, alive, died_at):
        """The route `dead` (SQL) is given up, and `alive` takes over, all within a second."""
        moved = self.stack.value(
            f"SELECT extract(epoch FROM min(settled_at)) FROM millrace.calls WHERE job_id = ANY(%s::uuid[])"
            f" AND {alive} AND class IS NULL AND started_at > to_timestamp(%s)", ids, died_at)  # fmt: skip
        self.assertLess(float(moved) - died_at, 1.0)
        # Three may pass at once when the breaker is half-open; what was out when it opened counts too.
        failed, last = self.stack.sql(
            f"SELECT count(*), extract(epoch FROM max(started_at)) FROM millrace.calls WHERE job_id = ANY(%s::uuid[])"
            f" AND {dead} AND class IS NOT NULL AND settled_at < to_timestamp(%s) + interval '2.5 s'",
            ids, died_at)[0]  # fmt: skip
        print(f"# {failed} calls failed before the breaker was open; traffic had moved after "
              f"{float(moved) - died_at:.3f} s")  # fmt: skip
        self.assertGreaterEqual(failed, 1)
        self.assertLess(float(last) - died_at, 1.0)
        self.assertLessEqual(failed, 5 + 16)

    def wait_for_breaker(self, state):
        millrace.wait_until(
            f"a breaker that is {state or 'closed'}",
            lambda: self.stack.sql("SELECT state FROM millrace.breakers") == ([(state,)] if state else []),
        )

    def test_next_endpoint(self):
        east, west = self.standin(), self.standin()
        self.start(
            [provider("p", ("east", east), ("west", west))],
            ['{ alias = "asked"; provider = "p"; model = "standin"; }'],
        )
        ids = self.enqueue(1200)
        millrace.wait_until("calls at both", lambda: self.calls(ids, "endpoint = 'east' AND state = 'settled'") > 50)
        died_at = self.kill(east)
        self.wait_for_breaker("open")
        again = self.standin("--port", str(east.port))
        self.wait_for_breaker(None)
        ids += self.enqueue(200)
        self.assertEqual(self.stack.wait_ended(ids, 90), {"done": 1400})
        self.died_and_moved(ids, "endpoint = 'east'", "endpoint = 'west'", died_at)
        self.assertGreater(len(again.ledger()), 3, "it is asked again")

    def test_next_model(self):
        first, second = self.standin(), self.standin()
        self.start(
            [provider("first", ("first", first)), provider("second", ("second", second))],
            [
                '{ alias = "asked"; provider = "first"; model = "standin"; fallback = ["other"]; }',
                '{ alias = "other"; provider = "second"; model = "standin"; }',
            ],
        )
        ids = self.enqueue(600)
        millrace.wait_until("calls", lambda: self.calls(ids, "state = 'settled'") > 50)
        died_at = self.kill(first)
        self.assertEqual(self.stack.wait_ended(ids, 90), {"done": 600})
        # The first failures are tried again there; with the breaker open nobody waits for it.
        moved = self.calls(ids, "provider = 'second' AND class IS NULL AND route LIKE 'fallback 1: first/standin %%'")
        self.assertGreater(moved, 100)
        self.died_and_moved(ids, "provider = 'first'", "provider = 'second'", died_at)

    def test_nowhere_to_go(self):
        """Without another route jobs wait until it is back; finished ones are not run again."""
        only = self.standin()
        self.start([provider("only", ("only", only))], ['{ alias = "asked"; provider = "only"; model = "standin"; }'])
        ids = self.enqueue(300)
        millrace.wait_until("calls", lambda: self.calls(ids, "state = 'settled'") > 50)
        self.kill(only)
        millrace.wait_until(
            "jobs that wait, with the reason",
            lambda: self.stack.value(
                "SELECT count(*) FROM millrace.jobs WHERE state = 'waiting' AND error_class IN ('network', 'unavailable')"
            ) > 0,
        )  # fmt: skip
        self.standin("--port", str(only.port))
        self.assertEqual(self.stack.wait_ended(ids, 120), {"done": 300})


if __name__ == "__main__":
    millrace.main()
