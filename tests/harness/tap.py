"""Reads TAP, whatever a program makes of it."""

import re

LINE = re.compile(r"^(ok|not ok)\b\s*(\d+)?\s*(?:-\s*)?(.*?)\s*(?:#\s*(skip|todo)\b\s*(.*))?$", re.I)


class Tally:
    """Counts of one program's cases."""

    def __init__(self):
        self.passed = self.failed = self.skipped = 0
        self.planned = None
        self.failures = []

    @property
    def seen(self):
        return self.passed + self.failed + self.skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures

    def fail(self, name):
        self.failed += 1
        self.failures.append(name)

    def line(self, text):
        """Takes one line of output; True when it was a result."""
        plan = re.match(r"^1\.\.(\d+)\s*(#\s*skip\b.*)?$", text, re.I)
        if plan:
            self.planned = int(plan.group(1))
            if self.planned == 0:
                self.skipped += 1
            return True
        match = LINE.match(text)
        if not match:
            return False
        if match.group(4):
            self.skipped += 1
        elif match.group(1) == "ok":
            self.passed += 1
        else:
            self.fail(match.group(3))
        return True

    def end(self, status):
        """The program has ended: a lost plan or a bad exit is a failure of its own."""
        if self.planned and self.seen < self.planned:
            for i in range(self.seen, self.planned):
                self.fail(f"case {i + 1} was never reported")
        elif self.planned is None:
            self.fail("no plan: the program reported nothing")
        if status != 0 and not self.failed:
            self.fail(f"exit status {status}")
