"""A Docker engine of the suite's own, in namespaces of its own, so that it can neither meet another
engine of the machine nor leave anything behind: its mounts, networks, firewall rules and processes end
with it. First it runs in the machine's network to build images (which need packages), then in a network
of its own, where the ports of docker-compose.yml are always free."""

import ctypes
import fcntl
import os
import pathlib
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import time

from millrace import wait_until

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOLS = ("dockerd", "containerd", "debootstrap", "unshare", "iptables")
PREFIX = "millrace-compose-"
SPACE = 6 << 30  # bytes that images and containers may need
CLONE_NEWNET, PR_SET_PDEATHSIG = 0x40000000, 1
SIOCSIFFLAGS, IFF_UP = 0x8914, 1
# What an engine would write outside of its own folders goes nowhere.
PREPARE = """
for dir in /etc/docker /run/containerd /run/docker; do
    mkdir -p "$dir" && mount -t tmpfs none "$dir" || exit 1
done
exec "$@"
"""
LIBC = ctypes.CDLL(None, use_errno=True)


def client():
    """Debian's own client speaks to BuildKit by itself; others may need a plugin."""
    return next((p for p in ("/usr/bin/docker", shutil.which("docker")) if p and os.path.exists(p)), None)


def compose_command():
    """docker-compose, whichever version, else the plugin."""
    if shutil.which("docker-compose"):
        return ["docker-compose"]
    plugin = [client(), "compose"]
    done = subprocess.run([*plugin, "version"], check=False, capture_output=True)
    return plugin if done.returncode == 0 else None


def missing():
    """Why no engine can run here; None if one can."""
    if os.geteuid() != 0:
        return "a Docker engine needs root"
    for tool in TOOLS:
        if not shutil.which(tool):
            return f"{tool} is missing (ops/deps compose)"
    if not client() or not compose_command():
        return "docker or docker-compose is missing (ops/deps compose)"
    if shutil.disk_usage(tempfile.gettempdir()).free < SPACE:
        return f"images need {SPACE >> 30} GiB of disk"
    probe = ["unshare", "--mount", "--pid", "--net", "--fork", "--mount-proc", "sh", "-c", "mount -t tmpfs none /mnt"]
    done = subprocess.run(probe, check=False, capture_output=True, text=True)
    return None if done.returncode == 0 else f"no namespaces: {done.stderr.strip()}"


def _with_parent():
    """A child of ours ends with us, however we end."""
    LIBC.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)


def _remove_groups(name):
    """Killed containers leave empty control groups."""
    top = pathlib.Path("/sys/fs/cgroup")
    for group in [*top.glob(name), *top.glob(f"*/{name}")]:
        for folder, _, _ in os.walk(group, topdown=False):
            for _ in range(50):
                try:
                    os.rmdir(folder)
                    break
                except OSError:
                    time.sleep(0.1)  # its last process is on the way out


def _remove(folder):
    """What an engine that has ended leaves."""
    _remove_groups(folder.name)
    with open("/proc/self/mountinfo", encoding="utf-8") as table:
        if str(folder) in table.read():  # never seen; removing it would reach what is mounted
            print(f"# something is mounted in {folder}, so it stays", flush=True)
            return
    shutil.rmtree(folder, ignore_errors=True)


def _remove_old():
    """Folders that runs which were killed have left."""
    for folder in pathlib.Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        try:
            with open(folder / "lock", encoding="ascii") as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                _remove(folder)
        except OSError:
            pass  # in use, or not ours


class Engine:
    def __init__(self):
        _remove_old()
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix=PREFIX))
        self.lock = open(self.folder / "lock", "w", encoding="ascii")
        fcntl.flock(self.lock, fcntl.LOCK_EX)
        # Whoever runs the suite again and again can keep the images in a folder of his own.
        self.data = pathlib.Path(os.environ.get("MILLRACE_TEST_IMAGES", self.folder / "data"))
        self.socket = self.folder / "docker.sock"
        self.group = self.folder.name
        self.docker = client()
        self.process = None
        self.env = {**os.environ, "DOCKER_HOST": f"unix://{self.socket}", "DOCKER_BUILDKIT": "0"}
        for name in [n for n in self.env if n.startswith(("COMPOSE_", "MILLRACE_", "DOCKER_C", "DOCKER_TLS"))]:
            del self.env[name]

    def start(self, *options, nice=0):
        (self.folder / "daemon.json").write_text("{}")
        command = [
            "dockerd", "--host", f"unix://{self.socket}", "--config-file", str(self.folder / "daemon.json"),
            "--data-root", str(self.data), "--exec-root", str(self.folder / "exec"),
            "--pidfile", str(self.folder / "pid"), "--oom-score-adjust", "0", "--shutdown-timeout", "20",
            "--exec-opt", "native.cgroupdriver=cgroupfs", "--cgroup-parent", f"/{self.group}", *options,
        ]  # fmt: skip
        spaces = ["unshare", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]
        with open(self.folder / "dockerd.log", "ab") as log:
            self.process = subprocess.Popen(
                [*spaces, "nice", "-n", str(nice), "sh", "-c", PREPARE, "sh", *command],
                env=self.env, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True, preexec_fn=_with_parent,
            )  # fmt: skip
        wait_until("the engine to answer", self._answers, 60)

    def _answers(self):
        if self.process.poll() is not None:
            raise AssertionError("dockerd does not start:\n" + self.log())
        return self.run("version", check=False).returncode == 0

    def log(self):
        return "\n".join((self.folder / "dockerd.log").read_text(errors="replace").splitlines()[-30:])

    def run(self, *args, check=True, timeout=300, **more):
        """docker ARGS; its output as text."""
        return self.call([self.docker, *map(str, args)], check=check, timeout=timeout, **more)

    def call(self, command, check=True, timeout=300, env=None, cwd=ROOT, stdin=None):
        done = subprocess.run(
            command, env={**self.env, **(env or {})}, cwd=cwd, check=False, capture_output=True,
            text=True, timeout=timeout, input=stdin, stdin=subprocess.DEVNULL if stdin is None else None,
        )  # fmt: skip
        if check and done.returncode != 0:
            tail = "\n".join((done.stdout + done.stderr).splitlines()[-60:])
            raise AssertionError(f"{' '.join(map(str, command))}: exit {done.returncode}\n{tail}")
        return done

    def stop(self):
        """Ends the engine and everything it runs."""
        if not self.process:
            return
        children = pathlib.Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children")
        try:
            for pid in children.read_text().split():
                os.kill(int(pid), signal.SIGTERM)
            self.process.wait(40)
        except (OSError, subprocess.TimeoutExpired):
            pass
        self.process.kill()
        self.process.wait()
        self.process = None

    def close(self):
        self.stop()
        self.lock.close()
        _remove(self.folder)


def leave_network():
    """From now on this process and what it starts have a network of their own."""
    if LIBC.unshare(CLONE_NEWNET) != 0:
        raise OSError(ctypes.get_errno(), "unshare")
    with socket.socket() as any_socket:
        fcntl.ioctl(any_socket, SIOCSIFFLAGS, struct.pack("16sH14x", b"lo", IFF_UP))
