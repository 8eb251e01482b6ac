"""The processes docket lives among, and docket itself: started, watched, stopped.

Servers  Kafka, PostgreSQL and Redis of one run directory, never those of the machine.
Stack    docket's programs on such servers: a database, a topic prefix and a Redis number of their own.
Service  one process of either.

A run directory remembers what must be the same after a stop: ports, secrets, data. `./dev up` uses .run;
each test run makes one of its own under .run/test. Processes outlive the one that started them; their
pid files say which are whose.

As a program: stack.py up | down | topics
"""

import base64
import contextlib
import fcntl
import os
import pwd
import random
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
RUN = ROOT / ".run"
KAFKA_JARS = RUN / "kafka"
KAFKA_CONFIG = ROOT / "tests/stack/kafka"
LOOPBACK = "127.0.0.1"

# Times to wait at most are said for a quiet machine. On a shared one a disk or a core may be away for seconds.
PATIENCE = float(os.environ.get("DOCKET_TEST_PATIENCE", "3"))

# Below Linux's ephemeral range (32768 on): no outgoing connection takes a port while its server is down.
PORTS = range(20000, 32000)

# Said to ./dev, not to the programs.
NOT_FOR_PROGRAMS = {"DOCKET_PRESET", "DOCKET_WORKERS", "DOCKET_API_URL", "DOCKET_CALLBACK_URL"}


class StackError(Exception):
    """Something did not start, stop or come about; the text is for the person at the terminal."""


def wait_until(condition, timeout, what, every=0.05):
    """Returns the condition's first true value; StackError naming `what` after `timeout` seconds (times PATIENCE).

    `what` may be a function, so that the message can tell what was seen last.
    """
    timeout *= PATIENCE
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise StackError(f"waited {timeout:g} s in vain: {what() if callable(what) else what}")
        time.sleep(every)


def can_connect(port, host=LOOPBACK):
    with contextlib.suppress(OSError), socket.create_connection((host, port), timeout=1):
        return True
    return False


def tail(path, lines=20):
    with contextlib.suppress(FileNotFoundError):
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:])
    return ""


# --- what a run directory remembers ------------------------------------------------------------------


class Book:
    """A file of NAME=value lines, safe to extend from several processes."""

    def __init__(self, path, mode=0o644):
        self.path = path
        self.mode = mode

    def get(self, name, make):
        """The remembered value, else what `make(values so far)` gives, remembered from now on."""
        self.path.parent.mkdir(parents=True, exist_ok=True)
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT, self.mode)
        with open(descriptor, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            known = dict(line.rstrip("\n").split("=", 1) for line in file)
            if name not in known:
                known[name] = str(make(known))
                file.write(f"{name}={known[name]}\n")
            return known[name]

    def forget(self, name):
        with open(self.path, "r+") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            kept = [line for line in file if not line.startswith(f"{name}=")]
            file.seek(0)
            file.writelines(kept)
            file.truncate()


def free_port(taken):
    while True:
        port = random.choice(PORTS)
        if str(port) in taken.values():
            continue
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            with contextlib.suppress(OSError):
                probe.bind((LOOPBACK, port))
                return port


def random_base64(size):
    return base64.b64encode(secrets.token_bytes(size)).decode()


SECRETS = {
    "postgres_password": lambda: secrets.token_hex(16),
    "app_encryption_key": lambda: secrets.token_hex(16),  # 32 characters
    "sealing_keys": lambda: f"dev1:{random_base64(32)}",
    "identity_hash_key": lambda: random_base64(32),
    "checkpoint_keys": lambda: f"dev1:{random_base64(32)}",
    "root_client_id": lambda: "docket_root",
    "root_client_secret": lambda: secrets.token_hex(24),
    "root_username": lambda: "root_user",
    "root_password": lambda: f"Aa1!{secrets.token_hex(12)}",  # one of each kind that the API asks for
}


class RunDir:
    def __init__(self, path, ports=None):
        self.path = Path(path)
        self.log = self.path / "log"
        self.pid = self.path / "pid"
        for directory in (self.log, self.pid):
            directory.mkdir(parents=True, exist_ok=True)
        self.ports = ports or Book(self.path / "ports")
        self.secrets = Book(self.path / "secrets", mode=0o600)

    def port(self, name, owner=None):
        """The port remembered for `name`; another if someone else came to listen on it while we were down."""
        port = int(self.ports.get(name, free_port))
        if read_pid_file(self.pid / f"{owner or name}.pid") is None and can_connect(port):
            self.ports.forget(name)
            port = int(self.ports.get(name, free_port))
        return port

    def secret(self, name):
        return self.secrets.get(name, lambda _: SECRETS[name]())


# --- one process -------------------------------------------------------------------------------------


def process_started_at(pid):
    """Clock ticks after boot: a pid and this name one process. None when it is gone, a zombie included."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except (FileNotFoundError, ProcessLookupError):
        return None
    return None if fields[0] in "ZX" else fields[19]


def read_pid_file(path):
    """The pid of the process that the file names, None unless that very process is alive."""
    try:
        pid, started_at = path.read_text().split()
    except (FileNotFoundError, ValueError):
        return None
    return int(pid) if process_started_at(pid) == started_at else None


def write_pid_file(path, pid):
    path.write_text(f"{pid} {process_started_at(pid)}\n")


def send(pid, number):
    """Once only: a program may take the second of the same signal for impatience. Wakes one that stands still."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
        os.kill(pid, signal.SIGCONT)


def wait_or_kill(pid, patience):
    """Waits for a process that was asked to end, then kills it and its group. True when asking was enough."""
    alive = process_started_at(pid)
    if alive is None:
        return True
    with contextlib.suppress(StackError):
        wait_until(lambda: process_started_at(pid) != alive, patience, f"end of process {pid}", every=0.02)
        return True
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)
    wait_until(lambda: process_started_at(pid) != alive, 10, f"end of killed process {pid}")
    return False


class Service:
    """One process: its command, log and pid file. Subclasses say what to run and when it is ready."""

    start_timeout = 60
    stop_signal = signal.SIGTERM
    stop_patience = 10

    def __init__(self, run, name):
        self.run = run
        self.name = name
        self.log_path = run.log / f"{name}.log"
        self.pid_path = run.pid / f"{name}.pid"
        self.process = None
        self.log_start = 0

    def command(self):
        raise NotImplementedError

    def environment(self):
        return own_environment()

    def user(self):
        return None

    def is_ready(self):
        raise NotImplementedError

    @property
    def pid(self):
        if self.process is not None and self.process.poll() is not None:
            return None
        return read_pid_file(self.pid_path)

    def is_alive(self):
        return self.pid is not None

    def start(self, wait=True):
        if self.is_alive():
            raise StackError(f"{self.name} runs already")
        with open(self.log_path, "ab") as log:
            self.log_start = log.tell()
            self.process = subprocess.Popen(
                [str(part) for part in self.command()],
                cwd="/",
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                **as_user(self.user()),
            )
        write_pid_file(self.pid_path, self.process.pid)
        if wait:
            self.wait_ready()
        return self

    def wait_ready(self, timeout=None):
        def ready_or_dead():
            return not self.is_alive() or self.is_ready()

        timeout = timeout or self.start_timeout
        wait_until(ready_or_dead, timeout, lambda: f"{self.name} to be ready\n{tail(self.log_path)}")
        if not self.is_alive():
            raise StackError(f"{self.name} ended at once\n{tail(self.log_path)}")
        return self

    def stop(self):
        """Ends it the way its operator would. True when it went by itself, in time."""
        self.ask_to_stop()
        return self.wait_stopped()

    def kill(self):
        """What the kernel does when memory is short: no word to the process, nothing flushed."""
        if self.is_alive():
            send(self.pid, signal.SIGKILL)
        return self.wait_stopped()

    def ask_to_stop(self):
        if self.is_alive():
            send(self.pid, self.stop_signal)

    def wait_stopped(self):
        pid = self.pid
        gone = pid is None or wait_or_kill(pid, self.stop_patience)
        if self.process is not None:
            self.process.wait()
        self.pid_path.unlink(missing_ok=True)
        return gone

    @property
    def exit_code(self):
        """Of the process that this object started last; None while it runs."""
        return self.process.poll() if self.process is not None else None

    def died(self):
        """It ended and nobody here ended it."""
        return self.process is not None and self.pid_path.exists() and not self.is_alive()

    def freeze(self):
        """The process stands still, its connections stay open: a peer that hangs."""
        os.killpg(self.pid, signal.SIGSTOP)

    def thaw(self):
        os.killpg(self.pid, signal.SIGCONT)

    def log_text(self, since_start=True):
        with contextlib.suppress(FileNotFoundError), open(self.log_path, "rb") as log:
            log.seek(self.log_start if since_start else 0)
            return log.read().decode(errors="replace")
        return ""

    def log_contains(self, text, since_start=True):
        return text in self.log_text(since_start)

    def wait_log(self, text, timeout=10):
        wait_until(lambda: self.log_contains(text), timeout, f"{self.name} to log {text!r}")


def own_environment():
    """Ours without docket's variables: a program gets those that its stack gives it."""
    return {name: value for name, value in os.environ.items() if not name.startswith("DOCKET_")}


def as_user(name):
    """Arguments for subprocess to run as that user; none for the user we are."""
    if name is None:
        return {}
    entry = pwd.getpwnam(name)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


# --- the servers -------------------------------------------------------------------------------------


class Kafka(Service):
    """Apache Kafka: broker and controller in one JVM (KRaft)."""

    start_timeout = 120  # a busy machine starts a JVM ten times slower than an idle one
    stop_patience = 20
    # One compiler: what the second one costs is not earned back before the stack goes down again.
    JVM = ("-Xms128m", "-Xmx384m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1")

    def __init__(self, run):
        super().__init__(run, "kafka")
        self.port = run.port("kafka")
        self.controller_port = run.port("kafka_controller", owner="kafka")
        self.brokers = f"{LOOPBACK}:{self.port}"
        self.data = run.path / "data/kafka"
        self.properties_path = run.path / "data/kafka.properties"

    def properties(self):
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@{LOOPBACK}:{self.controller_port}",
            "listeners": f"PLAINTEXT://{self.brokers},CONTROLLER://{LOOPBACK}:{self.controller_port}",
            "advertised.listeners": f"PLAINTEXT://{self.brokers}",
            "controller.listener.names": "CONTROLLER",
            "listener.security.protocol.map": "CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT",
            "log.dirs": self.data,
            "auto.create.topics.enable": "false",
            "num.network.threads": 2,
            "num.io.threads": 4,
            "group.initial.rebalance.delay.ms": 0,
            "offsets.topic.replication.factor": 1,
            "offsets.topic.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "transaction.state.log.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "log.segment.bytes": 64 << 20,
            "log.index.size.max.bytes": 1 << 20,
            "log.cleaner.dedupe.buffer.size": 16 << 20,
        }

    def java(self, *arguments):
        return ["java", *self.JVM, f"-Dlog4j2.configurationFile={KAFKA_CONFIG / 'log4j2.properties'}",
                "-cp", f"{KAFKA_JARS}/*", *arguments]

    def format_data(self):
        lines = "".join(f"{key}={value}\n" for key, value in self.properties().items())
        self.properties_path.parent.mkdir(parents=True, exist_ok=True)
        self.properties_path.write_text(lines)
        if (self.data / "meta.properties").exists():
            return
        cluster = base64.urlsafe_b64encode(secrets.token_bytes(16)).decode().rstrip("=")
        self.data.mkdir(parents=True, exist_ok=True)
        run_quietly(self.java("kafka.tools.StorageTool", "format", f"--cluster-id={cluster}", "-c", self.properties_path),
                    self.log_path)

    def command(self):
        return self.java("kafka.Kafka", self.properties_path)

    def start(self, wait=True):
        self.format_data()
        return super().start(wait)

    def is_ready(self):
        return self.log_contains("Kafka Server started") or self.process is None and can_connect(self.port)


class Postgres(Service):
    """A PostgreSQL cluster of our own. It refuses to run as root; then it runs as the user postgres."""

    stop_signal = signal.SIGINT  # fast shutdown: do not wait for clients
    stop_patience = 20
    ROLE = "docket"

    def __init__(self, run, synced=True):
        super().__init__(run, "postgres")
        self.synced = synced  # else what is committed survives the end of the server, but not of the machine
        self.port = run.port("postgres")
        self.password = run.secret("postgres_password")
        self.place = run.path / "data/postgres.place"  # says where the data is

    def settings(self):
        return {
            "listen_addresses": LOOPBACK,
            "port": self.port,
            "unix_socket_directories": "",
            "max_connections": 200,
            "shared_buffers": "256MB",
            "fsync": "on" if self.synced else "off",
            "synchronous_commit": "on",
            "wal_compression": "lz4",  # pglz would cost more than what it saves
            "max_wal_size": "4GB",
            "checkpoint_timeout": "15min",  # a page that is first changed after one is logged whole
            "shared_preload_libraries": "pg_stat_statements",
            "logging_collector": "off",
            "log_line_prefix": "%m [%p] %a ",
        }

    def url(self, database):
        return f"postgresql://{self.ROLE}:{self.password}@{LOOPBACK}:{self.port}/{database}"

    def user(self):
        return "postgres" if os.geteuid() == 0 else None

    @staticmethod
    def program(name):
        versions = sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: float(path.parent.name))
        if not versions:
            raise StackError("no PostgreSQL under /usr/lib/postgresql")
        return versions[-1] / name

    @property
    def data(self):
        return Path(self.place.read_text().strip())

    def make_place(self):
        """The run directory, or one under /var/tmp where the user postgres cannot come to the run directory."""
        home = self.run.path / "data/postgres"
        home.mkdir(parents=True, exist_ok=True)
        if self.user() is not None:
            shutil.chown(home, self.user(), "postgres")
            if subprocess.run(["test", "-w", home], **as_user(self.user()), cwd="/", check=False).returncode:
                home.rmdir()
                home = Path(tempfile.mkdtemp(prefix="docket-postgres-", dir="/var/tmp"))
                shutil.chown(home, self.user(), "postgres")
        home.chmod(0o700)
        self.place.write_text(f"{home}\n")
        return home

    def format_data(self):
        if self.place.exists() and (self.data / "PG_VERSION").exists():
            return
        home = self.make_place()
        with tempfile.NamedTemporaryFile("w", prefix="docket-", dir="/var/tmp") as password:
            password.write(f"{self.password}\n")
            password.flush()
            if self.user() is not None:
                shutil.chown(password.name, self.user())
            run_quietly([self.program("initdb"), "-D", home, "-U", self.ROLE, "--auth=scram-sha-256",
                         f"--pwfile={password.name}", "--encoding=UTF8", "--locale=C.UTF-8"],
                        self.log_path, self.user())

    def remove_data(self):
        if self.place.exists():
            shutil.rmtree(self.data, ignore_errors=True)
            self.place.unlink()

    def command(self):
        settings = (f"--{name}={value}" for name, value in self.settings().items())
        return [self.program("postgres"), "-D", self.data, *settings]

    def start(self, wait=True):
        self.format_data()
        return super().start(wait)

    def is_ready(self):
        return subprocess.run([self.program("pg_isready"), "-q", "-h", LOOPBACK, "-p", str(self.port)],
                              check=False).returncode == 0

    def query(self, sql, database="postgres"):
        """Runs it with psql, so that starting a stack needs nothing but what is started."""
        done = subprocess.run(["psql", "-XqAt", "-v", "ON_ERROR_STOP=1", "-h", LOOPBACK, "-p", str(self.port),
                               "-U", self.ROLE, "-d", database, "-c", sql],
                              env=own_environment() | {"PGPASSWORD": self.password},
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
        if done.returncode:
            raise StackError(f"PostgreSQL refuses: {(done.stderr or done.stdout).strip()}")
        return done.stdout.strip()

    def create_database(self, name):
        if not self.query(f"select 1 from pg_database where datname = '{name}'"):
            self.query(f'create database "{name}"')
            self.query("create extension if not exists pg_stat_statements", name)


class Redis(Service):
    """Redis that keeps nothing: what docket has in it may be forgotten."""

    def __init__(self, run):
        super().__init__(run, "redis")
        self.port = run.port("redis")

    def url(self, number=0):
        return f"redis://{LOOPBACK}:{self.port}/{number}"

    def command(self):
        return ["redis-server", "--port", self.port, "--bind", LOOPBACK, "--save", "", "--appendonly", "no",
                "--dir", self.run.path, "--daemonize", "no"]

    def is_ready(self):
        return can_connect(self.port)


def run_quietly(command, log_path, user=None):
    with open(log_path, "ab") as log:
        done = subprocess.run([str(part) for part in command], cwd="/", stdin=subprocess.DEVNULL, stdout=log,
                              stderr=log, check=False, **as_user(user))
    if done.returncode:
        raise StackError(f"{Path(str(command[0])).name} failed\n{tail(log_path)}")


class Servers:
    """Kafka, PostgreSQL and Redis of one run directory."""

    def __init__(self, run, synced=True):
        self.run = run
        self.kafka = Kafka(run)
        self.postgres = Postgres(run, synced)
        self.redis = Redis(run)
        self.all = (self.kafka, self.postgres, self.redis)

    def start(self, report=lambda service, seconds: None):
        """Starts what does not run, side by side; returns once all are ready."""
        began = time.monotonic()
        started = [server for server in self.all if not server.is_alive()]
        for server in started:
            server.start(wait=False)
        for server in sorted(started, key=lambda server: server is self.kafka):  # the slow one last
            server.wait_ready()
            report(server, time.monotonic() - began)

    def stop(self):
        stop_all(self.all)

    def remove_data(self):
        self.postgres.remove_data()
        shutil.rmtree(self.run.path / "data", ignore_errors=True)


def stop_all(services):
    """Asks all of them at once, then waits for each. Returns those that did not end with 0: name -> code."""
    alive = [service for service in services if service.is_alive()]
    for service in alive:
        service.ask_to_stop()
    for service in alive:
        service.wait_stopped()
    return {service.name: service.exit_code for service in alive if service.exit_code}


# --- docket's programs -------------------------------------------------------------------------------


class Program(Service):
    """One of docket's programs. It listens on one port and answers GET /health there."""

    ready_path = "/health"
    binary_name = None
    listen_variable = None

    def __init__(self, stack, name):
        super().__init__(stack.run, name)
        self.stack = stack
        self.port = stack.port(name)
        self.settings = {}  # for this process alone, over the stack's

    @property
    def binary(self):
        return self.stack.binary(self.binary_name)

    @property
    def url(self):
        return f"http://{self.stack.listen(self)}"

    def command(self):
        return [self.binary]

    def environment(self):
        return super().environment() | self.stack.environment() | {
            self.listen_variable: self.stack.listen(self)} | self.settings

    def is_ready(self):
        with contextlib.suppress(OSError), urllib.request.urlopen(self.url + self.ready_path, timeout=2) as answer:
            return answer.status == 200
        return False

    def metrics(self):
        with urllib.request.urlopen(f"{self.url}/metrics", timeout=5) as answer:
            return answer.read().decode()

    def outdated(self):
        """Why the running process is not what start() would start now, else None."""
        running, built = os.stat(f"/proc/{self.pid}/exe"), os.stat(self.binary)
        if (running.st_ino, running.st_mtime_ns) != (built.st_ino, built.st_mtime_ns):
            return "rebuilt"
        pairs = Path(f"/proc/{self.pid}/environ").read_bytes().decode().split("\0")
        given = {pair for pair in pairs if pair.startswith("DOCKET_")}
        wanted = {f"{name}={value}" for name, value in self.environment().items() if name.startswith("DOCKET_")}
        return None if given == wanted else "other settings"


class Api(Program):
    ready_path = "/ready"  # it listens before it has its database, and answers 503 until then
    binary_name = "docket-api"
    listen_variable = "DOCKET_API_LISTEN"


class Callback(Program):
    binary_name = "docket-callback"
    listen_variable = "DOCKET_CALLBACK_LISTEN"


class Worker(Program):
    binary_name = "docket-worker"
    listen_variable = "DOCKET_WORKER_LISTEN"
    stop_patience = 30  # it waits 20 s for calls under way

    @property
    def assigned(self):
        """The partitions of both topics that it was given last, since it began."""
        log = self.log_text().rpartition('"event":"worker.started"')[2]
        numbers = re.findall(r'"event":"intake.assigned","partitions":(\d+)', log)
        return int(numbers[-1]) if numbers else 0


class Stack:
    """docket on some servers. `settings` are DOCKET_* variables for its programs, over the usual ones."""

    def __init__(self, run, servers, preset="release", name="docket", redis_number=0, settings=None):
        self.run = run
        self.servers = servers
        self.preset = preset
        self.name = name  # of the database and the topic prefix
        self.redis_number = redis_number
        self.first_settings = settings or {}
        self.settings = dict(self.first_settings)
        self.api = Api(self, "docket-api")
        self.callback = Callback(self, "docket-callback")
        self.workers = []
        self.unassigned = False  # a worker ended, and its partitions may be nobody's
        running = [path for path in run.pid.glob("docket-worker-*.pid") if read_pid_file(path)]
        for _ in range(max((int(path.stem.rpartition("-")[2]) for path in running), default=0)):
            self.add_worker()

    @property
    def kafka(self):
        return self.servers.kafka

    @property
    def postgres(self):
        return self.servers.postgres

    @property
    def redis(self):
        return self.servers.redis

    @property
    def packages(self):
        """Where packages lie: all programs of the stack share it."""
        return self.run.path / "data" / f"{self.name}.packages"

    @property
    def programs(self):
        return [self.api, self.callback, *self.workers]

    def port(self, program):
        """Stacks on the same servers share a book of ports."""
        return self.run.port(f"{self.name}.{program}", owner=program)

    def listen(self, program):
        """Where a program listens: as set from outside, but every worker needs an address of its own."""
        given = None if isinstance(program, Worker) else self.settings.get(program.listen_variable)
        return given or f"{LOOPBACK}:{program.port}"

    def add_worker(self):
        worker = Worker(self, f"docket-worker-{len(self.workers) + 1}")
        self.workers.append(worker)
        return worker

    def keep_workers(self, count):
        """Ends the others. As they could come back, Kafka keeps their partitions for ten seconds."""
        self.unassigned = self.unassigned or any(worker.is_alive() for worker in self.workers[count:])
        stop_all(self.workers[count:])
        del self.workers[count:]

    def wait_assigned(self):
        """Until the workers that run have all partitions."""
        partitions = 2 * int(self.settings.get("DOCKET_TOPIC_PARTITIONS", 12))
        wait_until(lambda: sum(worker.assigned for worker in self.workers) == partitions, 40,
                   lambda: f"{partitions} partitions to be read: {[worker.assigned for worker in self.workers]}")
        self.unassigned = False

    def binary(self, name):
        path = ROOT / "build" / self.preset / "bin" / name
        if not path.exists():
            raise StackError(f"{path.relative_to(ROOT)} is not built")
        return path

    def environment(self):
        """What every program is told. A given variable wins over the usual one."""
        secret = self.run.secret
        usual = {
            "DOCKET_POSTGRES_URL": self.postgres.url(self.name),
            "DOCKET_KAFKA_BROKERS": self.kafka.brokers,
            "DOCKET_REDIS_URL": self.redis.url(self.redis_number),
            "DOCKET_TOPIC_PREFIX": self.name,
            "DOCKET_API_LISTEN": self.listen(self.api),
            "DOCKET_CALLBACK_LISTEN": self.listen(self.callback),
            "DOCKET_APP_ENCRYPTION_KEY": secret("app_encryption_key"),
            "DOCKET_SEALING_KEYS": secret("sealing_keys"),
            "DOCKET_IDENTITY_HASH_KEY": secret("identity_hash_key"),
            "DOCKET_CHECKPOINT_KEYS": secret("checkpoint_keys"),
            "DOCKET_CHECKPOINT_INTERVAL": "1s",
            "DOCKET_ROOT_CLIENT_ID": secret("root_client_id"),
            "DOCKET_ROOT_CLIENT_SECRET": secret("root_client_secret"),
            "DOCKET_ROOT_USERNAME": secret("root_username"),
            "DOCKET_ROOT_PASSWORD": secret("root_password"),
            "DOCKET_REQUIRE_MANUAL_REQUEST_APPROVAL": "true",
            "DOCKET_WEBHOOK_ALLOW_HTTP": "true",
            "DOCKET_WEBHOOK_ALLOWED_NETWORKS": "127.0.0.0/8,::1/128",
            "DOCKET_RESULTS_DOWNLOAD": "true",
            "DOCKET_STORAGE_DIRECTORY": str(self.packages),
        }
        return usual | self.sanitizer_options() | self.settings

    def sanitizer_options(self):
        if self.preset not in ("asan", "dev", "tsan"):
            return {}
        return {"ASAN_OPTIONS": "detect_leaks=1:halt_on_error=1:strict_string_checks=1",
                "UBSAN_OPTIONS": "print_stacktrace=1"}

    def docketctl(self, *arguments, **options):
        """Runs docketctl with the programs' configuration; returns the finished process, output as text."""
        return self.docketctl_with({}, *arguments, **options)

    def docketctl_with(self, settings, *arguments, check=True, timeout=120):
        """With these over the programs' configuration; None takes one away."""
        environment = own_environment() | self.environment() | settings
        environment = {name: value for name, value in environment.items() if value is not None}
        done = subprocess.run([self.binary("docketctl"), *arguments], env=environment, cwd=self.run.path,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
                              timeout=timeout)
        with open(self.run.log / "docketctl.log", "a") as log:
            log.write(done.stdout + done.stderr)
        if check and done.returncode:
            raise StackError(f"docketctl {' '.join(arguments)} failed\n{(done.stderr or done.stdout).strip()}")
        return done

    def prepare(self):
        """Database, tables, topics and where packages lie; nothing is lost when they are there already."""
        self.packages.mkdir(parents=True, exist_ok=True)
        self.postgres.create_database(self.name)
        self.docketctl("migrate")
        self.docketctl("topics")

    def start(self, workers=1):
        """Starts the programs that do not run; returns once all are ready."""
        while len(self.workers) < workers:
            self.add_worker()
        started = [program for program in self.programs if not program.is_alive()]
        for program in started:
            program.start(wait=False)
        for program in started:
            program.wait_ready()
        return self

    def stop(self):
        return stop_all(self.programs)

    def restart(self, **settings):
        """All programs anew, with these variables from now on; None: as the stack was made."""
        self.stop()
        for name, value in settings.items():
            self.settings.pop(name, None)
            value = self.first_settings.get(name) if value is None else value
            if value is not None:
                self.settings[name] = str(value)
        return self.start(len(self.workers))

    def write_environment(self, path):
        """The programs' variables and where to reach them, for `source`."""
        environment = self.environment() | {
            "DOCKET_API_URL": self.api.url,
            "DOCKET_CALLBACK_URL": self.callback.url,
        }
        lines = (f"export {name}='{value}'\n" for name, value in sorted(environment.items()))
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with open(descriptor, "w") as file:
            file.writelines(lines)


# --- run directories of tests and benches --------------------------------------------------------------


def temporary_run(kind):
    """A run directory under .run/test owned by this process; those of processes that ended are removed."""
    home = RUN / "test"
    home.mkdir(parents=True, exist_ok=True)
    with open(RUN / "test.lock", "w") as lock:  # another's is not taken for an old one before it says whose it is
        fcntl.flock(lock, fcntl.LOCK_EX)
        for old in home.glob(f"{kind}-*"):
            if read_pid_file(old / "owner") is None:
                end_run(old)
                remove_run(old)
        run = RunDir(home / f"{kind}-{os.getpid()}")
        write_pid_file(run.path / "owner", os.getpid())
    return run


STOP_SIGNALS = {"kafka": Kafka.stop_signal, "redis": Redis.stop_signal, "postgres": Postgres.stop_signal}


def end_run(path, pid_files="**/pid/*.pid"):
    """Ends every process whose pid file lies under `path`, programs before servers. Returns their names."""
    found = [(file, pid) for file in sorted(path.glob(pid_files)) if (pid := read_pid_file(file))]
    for servers in (False, True):
        wave = [(file, pid) for file, pid in found if (file.stem in STOP_SIGNALS) is servers]
        for file, pid in wave:
            send(pid, STOP_SIGNALS.get(file.stem, signal.SIGTERM))
        for file, pid in wave:
            wait_or_kill(pid, 20 if servers else 10)
            file.unlink(missing_ok=True)
    return [file.stem for file, _ in found]


def remove_run(path):
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree((path / "data/postgres.place").read_text().strip(), ignore_errors=True)
    shutil.rmtree(path, ignore_errors=True)


# --- ./dev's side --------------------------------------------------------------------------------------


def say(what, text):
    print(f"  {what:<16} {text}", flush=True)


def development_stack():
    settings = {name: value for name, value in os.environ.items()
                if name.startswith("DOCKET_") and not name.startswith("DOCKET_TEST_")
                and name not in NOT_FOR_PROGRAMS}
    run = RunDir(RUN)
    return Stack(run, Servers(run), os.environ.get("DOCKET_PRESET", "release"), settings=settings)


def bring_up(program):
    """Starts it, or starts it again where what runs is not what was built or asked for."""
    word = "started"
    if program.is_alive():
        reason = program.outdated()
        if reason is None:
            say(program.name, f"runs      {program.url}")
            return
        program.stop()
        word = f"restarted ({reason})"
    program.start()
    say(program.name, f"{word:<9} {program.url}")


def up():
    stack = development_stack()
    for server in stack.servers.all:
        if server.is_alive():
            say(server.name, f"runs      {LOOPBACK}:{server.port}")
    stack.servers.start(lambda server, took: say(server.name, f"started   {LOOPBACK}:{server.port}, {took:.1f} s"))
    stack.write_environment(RUN / "env")
    stack.prepare()
    say("docketctl", "tables and topics are there")
    wanted = int(os.environ.get("DOCKET_WORKERS") or max(len(stack.workers), 1))
    for worker in stack.workers[wanted:]:
        say(worker.name, "stopped")
    stack.keep_workers(wanted)
    while len(stack.workers) < wanted:
        stack.add_worker()
    for program in stack.programs:
        bring_up(program)
    return stack


def down():
    """Ends what ./dev up started, and what tests and benches left whose own process is gone."""
    stopped = end_run(RUN, "pid/*.pid")
    for path in sorted((RUN / "test").glob("*")):
        if read_pid_file(path / "owner") is not None:
            say(path.name, "is at work in another terminal: left alone")
        else:
            stopped += end_run(path)
    for name in stopped:
        say(name, "stopped")
    if not stopped:
        say("nothing", "was running")


def topics():
    """Each topic with its records, and how far the workers' group has read it."""
    from confluent_kafka import Consumer, TopicPartition  # only here: up and down need no Kafka client

    stack = development_stack()
    prefix = stack.environment()["DOCKET_TOPIC_PREFIX"]
    consumer = Consumer({"bootstrap.servers": stack.kafka.brokers, "group.id": f"{prefix}.worker"})
    print(f"  {'topic':<28} {'partitions':>10} {'records':>10} {'unread by workers':>18}")
    for name, topic in sorted(consumer.list_topics(timeout=10).topics.items()):
        if name.startswith("__"):
            continue
        bounds = {number: consumer.get_watermark_offsets(TopicPartition(name, number), timeout=10)
                  for number in topic.partitions}
        committed = consumer.committed([TopicPartition(name, number) for number in bounds], timeout=10)
        unread = [bounds[place.partition][1] - place.offset for place in committed if place.offset >= 0]
        records = sum(high - low for low, high in bounds.values())
        print(f"  {name:<28} {len(bounds):>10} {records:>10} {sum(unread) if unread else '-':>18}")
    consumer.close()


if __name__ == "__main__":
    commands = {"up": up, "down": down, "topics": topics}
    try:
        commands[sys.argv[1]]()
    except StackError as error:
        sys.exit(f"{sys.argv[0]}: {error}")
