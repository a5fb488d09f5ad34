"""A slice of the seeded runs, about a minute of it, and kill -9 at every point of the protocol.
tests/chaos/run has more."""

import pathlib
import sys
import unittest

import millrace

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import drive  # noqa: E402
import plan as plans  # noqa: E402

SECONDS = 60
LANES = 2  # mostly they wait


class SeedsTest(unittest.TestCase):
    def drive(self, names, **more):
        """{name: facts} of runs that were all green."""
        runs, met = {}, set()
        for name, failed, report, facts, fired in drive.Drive(names, LANES, stop=True, **more).run():
            self.assertFalse(failed, f"\n{report}")
            runs[name] = facts
            met |= fired
        calls = sum(facts["calls"].get("settled", 0) for facts in runs.values())
        print(f"# {len(runs)} runs, {calls} calls settled, faults met at: {' '.join(sorted(met))}")
        return runs

    def test_points(self):
        """Nothing is assumed to have been met: every rule of every point must have come true."""
        runs = self.drive(plans.POINTS)
        for name, facts in runs.items():
            self.assertEqual(sorted(facts["fired"]), list(range(len(plans.of(name).rules))), name)

    def test_seeds(self):
        self.assertGreater(len(self.drive(range(1, 1001), seconds=SECONDS)), LANES)


if __name__ == "__main__":
    millrace.main()
