"""A tenant's cap holds at every commit while workers race for it and die; see caps.py for more jobs."""

import pathlib
import sys

import millrace

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import caps  # noqa: E402


class CapsTest(millrace.StackCase):
    def setUp(self):
        self.stack.sql("TRUNCATE millrace.jobs, millrace.steps, millrace.calls, millrace.tenants, millrace.spend")
        self.stack.purge(*self.stack.queues())

    def test_cap_under_fire(self):
        fire = caps.Fire(self.stack, jobs=600, cap=0.2, workers=4)
        self.addCleanup(fire.close)
        fire.burn()
        faults, facts = fire.result()
        print(f"# {facts}")
        self.assertEqual(faults, [])
        self.assertGreater(fire.kills, 0)

    def test_the_witness_sees_a_breach(self):
        """With a check that lets everybody through, the same fire must be seen to burn."""
        name = "millrace.caps_admit"
        good = self.stack.value(f"SELECT pg_get_functiondef('{name}'::regproc)")
        head, quote, _ = good.partition("AS $function$")
        self.stack.sql(f"{head}{quote} begin return; end $function$".replace("%", "%%"))
        self.addCleanup(self.stack.sql, good.replace("%", "%%"))
        fire = caps.Fire(self.stack, jobs=60, cap=0.05, workers=2)
        self.addCleanup(fire.close)
        fire.burn()
        faults, _ = fire.result()
        self.assertTrue(any("a cap holds at every commit" in fault for fault in faults), faults)
        self.assertTrue(any("the counter of a cap" in fault for fault in faults), faults)
        self.assertTrue(any("were committed at a commit" in fault for fault in faults), faults)


if __name__ == "__main__":
    millrace.main()
