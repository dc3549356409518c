"""The machine's use, as a workflow asks for it."""

from __future__ import annotations

from collections import namedtuple

from api.routes.host import busy

Times = namedtuple("Times", "user system idle iowait guest")


async def test_percentages_of_this_machine(client):
    found = (await client.get("/v1/host")).json()
    assert set(found) == {"cpu_percent", "memory_percent", "disk_percent", "cores"}
    assert all(0 <= found[name] <= 100 for name in found if name != "cores")
    assert found["cores"] >= 1
    assert found["memory_percent"] > 0


def test_waiting_is_not_work_and_guests_count_once():
    assert busy(Times(0, 0, 0, 0, 0), Times(30, 10, 50, 10, 30)) == 40.0
    assert busy(Times(1, 1, 1, 1, 1), Times(1, 1, 1, 1, 1)) == 0.0
