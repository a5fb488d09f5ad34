"""Limits the fleet shares, against a provider that holds its own: four workers keep to what is
configured, learn what is not, and do not hold up a tenant for another one's limit."""

import json

import millrace

RPM = 1200  # the provider's, with two seconds' worth at once
WORKERS = 4


def lines(count):
    return "".join(json.dumps({"input": {"text": f"Job {i}."}}) + "\n" for i in range(count))


class LimitsTest(millrace.StackCase):
    def start(self, model, more=""):
        """Four workers whose models all are this one, under the provider's limit."""
        self.standin = self.stack.standin()
        self.standin.script(f"ratelimit={RPM}/0/2+delay=20-200", model)
        base = f"{self.standin.url}/v1"
        aliases = ", ".join(
            f'{{ alias = "{a}"; provider = "standin"; model = "{model}"; {more} }}'
            for a in ("summarizer", "extractor", "default")
        )
        config = self.stack.config(
            f'providers: ( {{ name = "standin"; kind = "openai"; base_url = "{base}"; }} );\n'
            f'models: ( {aliases} );\nworker: {{ log_level = "warn"; }};\n',
            name=f"{model}.cfg",
        )
        for _ in range(WORKERS):
            worker = self.stack.worker(config=config)
            self.addCleanup(worker.kill)

    def send(self, count, tenant="acme"):
        return self.stack.enqueue("--pipeline", "prompt", "--tenant", tenant, "--jsonl", "-", stdin=lines(count))

    def calls(self, model, after_s=0.0):
        """Calls begun so long after the first: all, those refused, nine tenths of all, and the seconds
        those took. The last are left out: a job with all its tries refused comes back 30 s later."""
        calls, refused, seconds = self.stack.sql(
            "SELECT count(*), count(*) FILTER (WHERE class = 'rate_limited'),"
            " extract(epoch FROM percentile_disc(0.9) WITHIN GROUP (ORDER BY started_at) - min(started_at))::float8"
            " FROM (SELECT *, started_at - min(started_at) OVER () AS since FROM millrace.calls"
            " WHERE model = %s) c WHERE since >= make_interval(secs => %s)", model, after_s)[0]  # fmt: skip
        return calls, refused, 0.9 * calls, seconds

    def test_configured(self):
        self.start("told", f"rpm = {RPM};")
        ids = self.send(200)
        self.assertEqual(self.stack.wait_ended(ids, 60), {"done": 200})
        calls, refused, most, seconds = self.calls("told")
        rate = (most - RPM / 60) / seconds * 60  # the first second's worth was there
        scope = self.stack.sql("SELECT scope, rpm, learned FROM millrace.limit_overview WHERE scope LIKE '%%/told'")
        print(f"# {calls} calls, {refused} refused, {rate:.0f} a minute")
        self.assertEqual(scope, [("model:standin/standin/told", RPM, False)])
        self.assertLess(refused, 0.02 * calls)
        self.assertGreater(rate, 0.85 * RPM)
        self.assertLess(rate, 1.05 * RPM)

    def test_learned(self):
        self.start("found")
        ids = self.send(260)
        self.assertEqual(self.stack.wait_ended(ids, 60), {"done": 260})
        calls, refused, *_ = self.calls("found")
        later, refused_later, most, seconds = self.calls("found", 4)
        rate = most / seconds * 60
        (known,) = self.stack.sql(
            "SELECT rpm, learned, throttled FROM millrace.limit_overview WHERE scope LIKE '%%/found'"
        )
        print(f"# {calls} calls, {refused} refused; after four seconds {later}, {refused_later}, {rate:.0f} a minute")
        self.assertEqual(known[:2], (RPM, True))
        self.assertGreater(later, 50)
        self.assertLess(refused_later, 0.05 * later)
        self.assertGreater(rate, 0.85 * RPM)

    def test_of_a_tenant(self):
        self.start("own", f"rpm = {RPM};")
        self.stack.sql("SELECT millrace.tenant_set('slow', p_rpm => 240)")
        slow = self.send(24, "slow")
        quick = self.send(40, "quick")
        self.assertEqual(self.stack.wait_ended(slow + quick, 60), {"done": 64})
        spans = dict(self.stack.sql(
            "SELECT tenant, extract(epoch FROM max(started_at) - min(started_at))::float8"
            " FROM millrace.calls WHERE model = 'own' GROUP BY tenant"))  # fmt: skip
        print(f"# slow: 24 calls in {spans['slow']:.1f} s, quick: 40 in {spans['quick']:.1f} s")
        self.assertGreater(spans["slow"], 4.5)
        self.assertLess(spans["slow"], 9)
        self.assertLess(spans["quick"], spans["slow"])


if __name__ == "__main__":
    millrace.main()
