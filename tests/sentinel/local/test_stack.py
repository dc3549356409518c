"""The embedded parts answer, keep their data, come back after a crash and leave nothing."""

from __future__ import annotations

import errno
import json
import os
import re
import signal
import stat
import subprocess
import sys
import textwrap
import time
from pathlib import Path

import psutil
import psycopg
import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient, NewTopic

from sentinel.errors import StackError
from sentinel.local import Service, Stack, connect, find
from sentinel.local.process import Supervised
from sentinel.settings import Settings


@pytest.fixture
def own(tmp_path):
    """Yield a stack of the test's own, to be hurt."""
    running = Stack(Settings(home=tmp_path / "home", kafka="", postgres=""))
    said: list[str] = []
    running.start(said.append)
    running.said = said
    yield running
    running.stop()


def wait_for(condition, timeout_s=180.0):
    deadline = time.monotonic() + timeout_s
    while not (found := condition()):
        assert time.monotonic() < deadline, "not within the time"
        time.sleep(0.05)
    return found


def using(home: Path) -> list[str]:
    """Command lines of the processes that work in `home`."""
    lines = []
    for process in psutil.process_iter():
        try:
            line = " ".join(process.cmdline())
        except psutil.Error:
            continue
        if str(home) in line and process.pid != os.getpid():
            lines.append(line)
    return lines


def query(dsn, text):
    with psycopg.connect(dsn) as connection:
        return connection.execute(text).fetchone()[0]


def test_database_is_durable_and_asks_for_the_password(stack):
    assert query(stack.postgres, "SHOW fsync") == "on"
    assert query(stack.postgres, "SHOW listen_addresses") == "127.0.0.1"
    without = stack.postgres.replace(f":{stack.identity.password}@", "@")
    for dsn in (without, stack.postgres.replace(stack.identity.password, "wrong")):
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(dsn)


def test_broker_does_not_make_topics_by_itself(kafka, topic_name):
    admin = AdminClient({"bootstrap.servers": kafka})
    producer = Producer({"bootstrap.servers": kafka, "message.timeout.ms": 1500})
    errors = []
    producer.produce(topic_name, b"x", on_delivery=lambda error, _: errors.append(error))
    producer.flush(60)
    assert errors[0] is not None
    assert topic_name not in admin.list_topics(timeout=60).topics


def test_broker_takes_a_message_of_60_mb(kafka, topic):
    name = topic(1, **{"max.message.bytes": str(64 * 1024 * 1024)})
    producer = Producer({"bootstrap.servers": kafka, "message.max.bytes": 64 * 1024 * 1024})
    errors = []
    producer.produce(name, os.urandom(60_000_000), on_delivery=lambda e, _: errors.append(e))
    producer.flush(60)
    assert errors == [None]


def test_parts_listen_on_loopback_only(stack):
    for part in stack.services.values():
        process = psutil.Process(part.pid)
        addresses = {
            connection.laddr.ip
            for connection in process.net_connections("inet")
            if connection.status == psutil.CONN_LISTEN
        }
        assert addresses <= {"127.0.0.1", "::ffff:127.0.0.1"}
        assert addresses


def test_secrets_are_for_the_owner_only(stack):
    for name in ("stack.json", "identity.json"):
        assert stat.S_IMODE((stack.home / name).stat().st_mode) == 0o600


def test_other_processes_find_it(stack):
    settings = Settings(home=stack.home, kafka="", postgres="")
    found = find(settings)
    assert (found.kafka, found.postgres) == (stack.kafka, stack.postgres)
    assert connect(settings).kafka == stack.kafka
    assert find(Settings(home=stack.home, kafka="there:1", postgres="")).kafka == "there:1"
    with pytest.raises(StackError, match="SENTINEL_ELASTICSEARCH"):
        find(settings, "elasticsearch")


def test_not_running_says_what_to_do(tmp_path):
    with pytest.raises(StackError, match="sentinel up"):
        find(Settings(home=tmp_path, kafka="", postgres=""))


def test_second_stack_is_refused_and_told_the_pid(stack):
    with pytest.raises(StackError, match=rf"pid {os.getpid()}\): stop it with `sentinel down`"):
        Stack(Settings(home=stack.home)).start()
    assert find(Settings(home=stack.home)).kafka  # the refusal harmed nothing


def test_settings_switch_parts_off(tmp_path):
    settings = Settings(home=tmp_path / "h", kafka="there:1", postgres="postgresql://there/x")
    with Stack(settings) as stack:
        assert stack.services == {}
        assert stack.env()["SENTINEL_KAFKA"] == "there:1"
        assert stack.env()["SENTINEL_POSTGRES"] == "postgresql://there/x"


def test_killed_parts_come_back_with_their_data_and_all_stops(own):
    admin = AdminClient({"bootstrap.servers": own.kafka})
    admin.create_topics([NewTopic("kept", 1, 1)])["kept"].result(30)
    producer = Producer({"bootstrap.servers": own.kafka, "acks": "all"})
    producer.produce("kept", b"before")
    assert producer.flush(30) == 0
    with psycopg.connect(own.postgres) as connection:
        connection.execute("CREATE TABLE kept AS SELECT 42 AS n")
    old = {name: part.pid for name, part in own.services.items()}

    for name in old:
        own.kill(name)
    for name, pid in old.items():
        own.services[name].wait_ready(180)
        assert own.services[name].pid != pid
        assert any(f"{name} was killed by SIGKILL; restarting in 0.5 s" in m for m in own.said)

    assert query(own.postgres, "SELECT n FROM kept") == 42
    consumer = Consumer({"bootstrap.servers": own.kafka, "group.id": "x"})
    consumer.assign([TopicPartition("kept", 0, 0)])
    assert wait_for(lambda: consumer.poll(1.0)).value() == b"before"
    consumer.close()
    facts = json.loads((own.home / "stack.json").read_text())
    assert facts["parts"]["kafka"]["pid"] == own.services["kafka"].pid

    own.stop()
    wait_for(lambda: not using(own.home))
    assert not list((own.home / "run").iterdir())
    assert not (own.home / "stack.json").exists()

    again = Stack(own.settings)
    with again:
        assert (again.kafka, again.postgres) == (own.kafka, own.postgres)
        assert query(again.postgres, "SELECT n FROM kept") == 42


SUPERVISOR = """
    import sys
    from pathlib import Path
    from sentinel.local import Stack
    from sentinel.settings import Settings
    stack = Stack(Settings(home=Path(sys.argv[1]), kafka="", postgres=""))
    stack.start()
    print("up", flush=True)
    sys.stdin.read()
    stack.stop()
"""


def supervise(home: Path, **options) -> subprocess.Popen[str]:
    """Run a stack in another process, as `options` say; return when it is up."""
    process = subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(SUPERVISOR), str(home)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        **options,
    )
    if process.stdout.readline() != "up\n":
        pytest.fail(process.communicate()[1])
    return process


def test_nothing_survives_a_killed_supervisor(tmp_path):
    home = tmp_path / "home"
    with supervise(home) as process:
        assert len(using(home)) >= 2
        process.kill()
        process.wait()
    # the next start finds the pid files, and the lock free again
    with Stack(Settings(home=home, kafka="", postgres="")) as stack:
        assert query(stack.postgres, "SELECT 1") == 1
    wait_for(lambda: not using(home))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
def test_runs_as_an_ordinary_user(tmp_path, tmp_path_factory):
    nobody = 65534
    home = Path("/tmp") / f"sentinel-nobody-{os.getpid()}"  # pytest's own are closed to others
    home.mkdir()
    os.chown(home, nobody, nobody)
    cache = Path(os.environ.get("M2_REPO", Path.home() / ".m2" / "repository"))
    if not _reachable(cache) or not _reachable(Path(sys.prefix)):
        home.rmdir()
        pytest.skip(f"{cache} or {sys.prefix} is closed to other users")
    env = os.environ | {"HOME": str(home), "M2_REPO": str(cache)}
    try:
        with supervise(
            home / "h", user=nobody, group=nobody, extra_groups=[], env=env, umask=0o077
        ) as process:
            users = {
                psutil.Process(p.pid).uids().real for p in psutil.Process(process.pid).children()
            }
            assert users == {nobody}
            process.stdin.close()
            assert process.wait(180) == 0
        assert not using(home)
    finally:
        subprocess.run(["rm", "-rf", str(home)], check=True)


def _reachable(path: Path) -> bool:
    return all(p.stat().st_mode & stat.S_IXOTH for p in [path.resolve(), *path.resolve().parents])


def test_a_part_that_cannot_start_says_why(tmp_path):
    home = tmp_path / "home"
    first = Stack(Settings(home=home, kafka="there:1", postgres=""))
    with first:
        pass
    (home / "postgres" / "data" / "global" / "pg_control").write_bytes(b"broken")
    with pytest.raises(StackError, match=r"postgres .*, 3 times; .*pg_control"):
        first.start()
    assert not using(home)


def test_stop_signal_reaches_the_process_group(own):
    """A part that ignores its stop signal is killed after its grace period, and said so."""
    own.services["kafka"].kill(signal.SIGSTOP)
    object.__setattr__(own.services["kafka"].service, "stop_s", 1.0)
    own.stop()
    assert any("kafka did not stop in 1 s: killed" in message for message in own.said)
    wait_for(lambda: not using(own.home))


def test_what_is_never_ready_is_killed_and_said_to_be(tmp_path):
    said: list[str] = []
    late = Service(
        "late", [sys.executable, "-c", "import time; time.sleep(60)"], lambda: False, start_s=1.0
    )
    part = Supervised(late, tmp_path, said.append)
    part.start()
    wait_for(lambda: said)
    part.stop()
    assert said[0].startswith("late was not ready within 1 s and was killed; restarting in 0.5 s")


@pytest.mark.parametrize(
    ("ready", "expected"),
    [(True, [0.02, 0.04, 0.04, 0.04, 0.04]), (False, [0.02, 0.04, 0.08, 0.16, 0.16])],
)
def test_what_had_been_ready_is_started_again_sooner(ready, expected, tmp_path):
    """What is killed again and again is no crash loop: work must go on within seconds."""
    said: list[str] = []
    service = Service(
        "ends", [sys.executable, "-c", "import time; time.sleep(0.3)"], lambda: ready,
        backoff_s=0.02, backoff_ready_s=0.04, backoff_max_s=0.16,
    )  # fmt: skip
    part = Supervised(service, tmp_path, said.append)
    part.restarts = 1  # not its first start, which gives up after a few
    part.start()

    def delays():
        return [float(found) for found in re.findall(r"restarting in ([\d.]+) s", "\n".join(said))]

    wait_for(lambda: len(delays()) >= 5)
    part.stop()
    assert delays()[:5] == expected


def test_what_cannot_be_started_again_is_tried_until_it_can(tmp_path):
    """As on a full disk, where not even its log can be opened."""
    said: list[str] = []
    steady = Service(
        "steady", [sys.executable, "-c", "import time; time.sleep(60)"], lambda: True, backoff_s=0.1
    )
    part = Supervised(steady, tmp_path, said.append)
    part.start()
    part.wait_ready()
    part.log.unlink()
    part.log.mkdir()
    part.kill()
    wait_for(lambda: any("steady cannot be started: [Errno 21]" in line for line in said))
    part.log.rmdir()
    part.wait_ready()
    part.stop()


def test_what_has_no_room_is_started_when_it_has(tmp_path):
    """Kafka that starts without forgets its topics."""
    said: list[str] = []
    part = Supervised(
        Service(
            "big", [sys.executable, "-c", "import time; time.sleep(60)"], lambda: True,
            backoff_s=0.1, data=tmp_path, space_mib=1,
        ),
        tmp_path, said.append,
    )  # fmt: skip
    part.start()
    part.wait_ready()
    object.__setattr__(part.service, "space_mib", 1 << 40)
    part.kill()
    wait_for(lambda: any(f"MiB free for {tmp_path}, found" in line for line in said))
    assert part.pid is None
    object.__setattr__(part.service, "space_mib", 1)
    part.wait_ready()
    part.stop()


def test_what_has_no_room_at_the_first_start_says_so(tmp_path):
    part = Supervised(
        Service("big", [sys.executable, "-V"], lambda: True, data=tmp_path, space_mib=1 << 40),
        tmp_path,
        lambda said: None,
    )
    part.start()
    with pytest.raises(StackError, match=rf"expected {1 << 40} MiB free for .*; make room"):
        part.wait_ready()


def test_a_report_that_cannot_be_written_ends_nothing(tmp_path, monkeypatch):
    def full(message: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "stack.json").touch()
    monkeypatch.setattr(Stack, "note", full)
    Stack(Settings(home=tmp_path))._serialised(full)("kafka is up")
