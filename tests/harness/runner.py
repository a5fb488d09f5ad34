"""Builds Millrace and runs its test suites; see --help."""

import argparse
import concurrent.futures
import contextlib
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import time

import millrace
from tap import Tally

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MILLRACE_BUILD", ROOT / "build"))
SANITIZE = [
    "-Db_sanitize=address,undefined",
    "-Db_lundef=false",
    "-Dbuildtype=debugoptimized",
    "-Dwerror=false",  # instrumented code makes gcc see ghosts; lint judges the warnings
]
SANITIZE_ENV = {
    "ASAN_OPTIONS": "allocator_may_return_null=1:detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=1",
    "UBSAN_OPTIONS": "halt_on_error=1:print_stacktrace=1",
    "MILLRACE_TEST_SLOW": "1",
}
FOLDERS = ("integration", "chaos", "compose")  # suites that are test_*.py files in tests/<suite>
MESON = ("unit", "sim")  # suites that meson knows
SUITES = (
    "lint", "rules", "unit", "asan", "sim", "integration", "integration-asan", "integration-valgrind", "chaos",
)  # fmt: skip
ASKED = ("compose",)  # by name only: it makes images first, which takes minutes
# Valgrind is thirty times slower: a file of cases, and words in the names of those that run.
VALGRIND = {
    "test_faults": ("test_cases",),
    "test_flow": ("branches", "hand_over", "skip", "cancel", "with_a_key", "drain"),
    "test_pipeline": ("document", "samples", "wait_and_read"),
}


def say(text):
    print(text, flush=True)


def stop_all(number, _frame):
    """Ctrl-C: no program starts any more, and every one ends itself and what it started."""
    Program.stop_queue()
    for process in list(Program.running):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
    sys.exit(128 + number)


class Program:
    """One TAP program."""

    running = set()
    stop_queue = staticmethod(lambda: None)

    def __init__(self, name, command, env=None, timeout=600, cwd=ROOT):
        self.name, self.command, self.timeout, self.cwd = name, command, timeout, cwd
        self.env = {**os.environ, **(env or {})}
        self.output = ""

    def run(self):
        tally = Tally()
        started = time.monotonic()
        # A session of its own, so that nothing the program leaves behind outlives it.
        with subprocess.Popen(
            self.command,
            env=self.env,
            cwd=self.cwd,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        ) as process:
            Program.running.add(process)
            try:
                out, _ = process.communicate(timeout=self.timeout)
                status = process.returncode
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGTERM)
                try:
                    out, _ = process.communicate(timeout=60)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGKILL)
                    out, _ = process.communicate()
                status = f"none: stopped after {self.timeout} s"
            finally:
                Program.running.discard(process)
        self.output = out.decode("utf-8", "replace")
        for line in self.output.splitlines():
            tally.line(line)
        tally.end(status)
        tally.failures = [f"{self.name}: {f}" for f in tally.failures]
        return tally, time.monotonic() - started


def run_programs(programs, jobs):
    """Runs them, prints a line for each and the output of those that failed."""
    total = Tally()
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        running = {pool.submit(p.run): p for p in programs}
        Program.stop_queue = lambda: pool.shutdown(wait=False, cancel_futures=True)
        for future in concurrent.futures.as_completed(running):
            program = running[future]
            tally, seconds = future.result()
            total.add(tally)
            word = "FAIL" if tally.failed else "ok"
            skips = f", {tally.skipped} skipped" if tally.skipped else ""
            say(f"  {word:4}  {program.name}  ({tally.passed} passed{skips}, {seconds:.1f} s)")
            if tally.failed:
                say("\n".join("        " + line for line in program.output.splitlines()[-200:]))
    return total


def build(where, options=(), env=None):
    """Sets up (or again, if it was set up differently) and compiles."""
    env = {**os.environ, **(env or {})}
    log = subprocess.PIPE if not sys.stdout.isatty() else None
    stamp = where / "runner-options"
    same = (stamp.read_text() if stamp.exists() else "") == " ".join(options)
    if not (where / "build.ninja").exists() or not same:
        shutil.rmtree(where, ignore_errors=True)
        command = ["meson", "setup", str(where), str(ROOT), *options]
        done = subprocess.run(command, env=env, stdout=log, stderr=subprocess.STDOUT, check=False)
        if done.returncode != 0:
            say((done.stdout or b"").decode("utf-8", "replace"))
            return False
        if options:
            stamp.write_text(" ".join(options))
    done = subprocess.run(
        ["ninja", "-C", str(where)], env=env, stdout=log, stderr=subprocess.STDOUT, check=False
    )
    if done.returncode != 0:
        say((done.stdout or b"").decode("utf-8", "replace")[-20000:])
    return done.returncode == 0


def service_env(stack):
    """How the unit tests of the broker's and the database's modules find services of their own."""
    tool = stack.folder / "rabbitmqctl"
    tool.write_text(f'#!/bin/sh\nexec "{ROOT}/ops/stack" rabbitmqctl "$@"\n')
    tool.chmod(0o700)
    secrets = stack.state / "secrets"
    port = stack.env["PGPORT"]
    amqp = stack.env["AMQP_URL"].rsplit("@", 1)[1].split("/")[0]
    return {
        "MILLRACE_STATE": str(stack.state),
        "MILLRACE_TEST_PG": f"host=127.0.0.1 port={port} user=postgres",
        "PGPASSFILE": f"{secrets}/pgpass",
        "MILLRACE_TEST_AMQP": f"{amqp}:millrace_admin:{secrets}/broker_admin",
        "MILLRACE_TEST_RABBITMQCTL": str(tool),
    }


def meson_programs(where, suite, extra_env=None):
    listing = subprocess.run(
        ["meson", "introspect", "--tests", str(where)], check=True, capture_output=True
    ).stdout
    for test in json.loads(listing):
        # meson calls them "project:suite"
        if suite not in [s.split(":")[-1] for s in test["suite"]]:
            continue
        env = {**test["env"], **(extra_env or {})}
        program = Program(
            test["name"], test["cmd"], env, max(test["timeout"], 300), test["workdir"] or where
        )
        program.alone = not test.get("is_parallel", True)
        yield program


def run_built(where, suite, extra_env=None):
    """Runs what meson built: most at the same time, and what shares queues one by one."""
    stack = millrace.Stack() if suite == "unit" else None
    try:
        env = {**(service_env(stack) if stack else {}), **(extra_env or {})}
        programs = list(meson_programs(where, suite, env))
        total = run_programs([p for p in programs if not p.alone], os.cpu_count() or 1)
        total.add(run_programs([p for p in programs if p.alone], 1))
        return total
    finally:
        if stack:
            stack.close()


def failed(name):
    tally = Tally()
    tally.fail(name)
    return tally


def run_lint():
    return run_programs([Program("lint", [str(ROOT / "tests" / "lint")], timeout=1800)], 1)


def run_meson(suite):
    if not build(BUILD):
        return failed("build")
    return run_built(BUILD, suite)


def run_asan():
    where = BUILD.with_name(BUILD.name + "-asan")
    if not build(where, SANITIZE):
        return failed("build with sanitizers")
    return run_built(where, "unit", SANITIZE_ENV)


def python_program(suite, file, where, words=(), env=None):
    return Program(
        f"{suite}/{file.stem}",
        ["/usr/bin/python3", "-B", str(file), *words],
        {"MILLRACE_BUILD": str(where), "PYTHONPATH": str(ROOT / "tests" / "harness"), **(env or {})},
        timeout=2700 if suite == "compose" else 1800,  # which builds images first
    )


def run_folder(suite):
    # The images of the compose suite build for themselves.
    if suite != "compose" and not build(BUILD):
        return failed("build")
    # Each file has services of its own, so integration files may run beside each other, and mostly
    # they wait; so do those of chaos, but for fewer things. The longest comes last in the alphabet and
    # starts first.
    files = sorted((ROOT / "tests" / suite).glob("test_*.py"), reverse=True)
    jobs = (os.cpu_count() or 1) + 1 if suite == "integration" else 2
    return run_programs([python_program(suite, f, BUILD) for f in files], jobs)


def run_watched(suite, where, chosen, env):
    """Integration cases under a checker that writes what it finds to LOGS/*: one file is a failure."""
    with tempfile.TemporaryDirectory(prefix="millrace-logs-") as logs:
        os.chmod(logs, 0o777)  # the sandboxed child too must be able to complain
        env = {name: value.replace("LOGS", logs) for name, value in env.items()}
        folder = ROOT / "tests" / "integration"
        programs = [
            python_program(suite, folder / f"{stem}.py", where, words, env)
            for stem, words in chosen.items()
        ]
        total = run_programs(programs, os.cpu_count() or 1)
        reports = [p for p in sorted(pathlib.Path(logs).iterdir()) if p.stat().st_size > 0]
        for path in reports:
            say(f"---- {path.name}\n{path.read_text(errors='replace')[:8000]}")
        if reports:
            total.fail(f"{len(reports)} reports of {suite.partition('-')[2]}")
        else:
            total.passed += 1
        return total


def run_integration_asan():
    where = BUILD.with_name(BUILD.name + "-asan")
    if not build(where, SANITIZE):
        return failed("build with sanitizers")
    files = (ROOT / "tests" / "integration").glob("test_*.py")
    chosen = {f.stem: () for f in sorted(files, reverse=True) if f.stem != "test_stack"}
    env = {name: value + ":log_path=LOGS/san" for name, value in SANITIZE_ENV.items() if "OPTIONS" in name}
    return run_watched("integration-asan", where, chosen, {**env, "MILLRACE_TEST_PATIENCE": "4"})


def run_integration_valgrind():
    if not build(BUILD):
        return failed("build")
    wrapper = (
        "valgrind --quiet --leak-check=full --errors-for-leak-kinds=definite"
        " --show-leak-kinds=definite --error-exitcode=99 --log-file=LOGS/valgrind.%p"
        f" --suppressions={ROOT}/tests/harness/valgrind.supp"
    )
    env = {"MILLRACE_TEST_WRAPPER": wrapper, "MILLRACE_TEST_PATIENCE": "10"}
    return run_watched("integration-valgrind", BUILD, VALGRIND, env)


def run_suite(suite):
    if suite == "lint":
        return run_lint()
    if suite == "rules":
        return run_programs([Program("rules", [str(ROOT / "tests" / "rules")])], 1)
    if suite == "asan":
        return run_asan()
    if suite == "integration-asan":
        return run_integration_asan()
    if suite == "integration-valgrind":
        return run_integration_valgrind()
    if suite in MESON:
        return run_meson(suite)
    return run_folder(suite)


def main():
    parser = argparse.ArgumentParser(
        prog="tests/run", description="Builds Millrace and runs its tests."
    )
    parser.add_argument(
        "--suite", action="append", choices=SUITES + ASKED, help="only this one (may be repeated)"
    )
    options = parser.parse_args()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, stop_all)
    total = Tally()
    for suite in options.suite or SUITES:
        say(f"== {suite}")
        tally = run_suite(suite)
        tally.failures = [f"{suite}: {f}" for f in tally.failures]
        total.add(tally)
    if total.failures:
        say("\nfailed:")
        for name in total.failures:
            say(f"  {name}")
    say(f"{total.passed} passed, {total.failed} failed, {total.skipped} skipped")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
