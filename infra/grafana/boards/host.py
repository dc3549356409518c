"""The machine and the processes on it."""

from __future__ import annotations

from grafana_foundation_sdk.builders.dashboard import Dashboard, Row

from infra.grafana.boards.panels import board, lines


def dashboard() -> Dashboard:
    """Return the dashboard."""
    made = board("host", "Host", "Processor, memory, disks; our processes; PostgreSQL.", "now-1h")
    made = made.with_panel(
        lines(
            "Processor",
            "Share of all cores that is busy.",
            ("instance:node_cpu:ratio5m", "{{instance}}"),
            unit="percentunit",
        )
    ).with_panel(
        lines(
            "Memory",
            "Share that is in use.",
            ("instance:node_memory:ratio", "{{instance}}"),
            unit="percentunit",
        )
    )
    made = made.with_panel(
        lines(
            "Disks",
            "Share of each file system that is full.",
            ("instance:node_filesystem:ratio", "{{instance}} {{mountpoint}}"),
            unit="percentunit",
        )
    ).with_panel(
        lines(
            "Network",
            "Bytes received a second.",
            ("sum by (device) (rate(node_network_receive_bytes_total[5m]))", "{{device}}"),
            unit="Bps",
        )
    )
    made = made.with_row(Row("Sentinel's processes"))
    made = made.with_panel(
        lines(
            "Memory of each process",
            "Resident bytes.",
            ('process_resident_memory_bytes{job=~"sentinel-.*"}', "{{job}} {{instance}}"),
            unit="bytes",
        )
    ).with_panel(
        lines(
            "Cores of each process",
            "CPU seconds a second.",
            ('rate(process_cpu_seconds_total{job=~"sentinel-.*"}[5m])', "{{job}} {{instance}}"),
        )
    )
    made = made.with_row(Row("PostgreSQL"))
    return made.with_panel(
        lines(
            "Transactions",
            "Committed a second, by database.",
            ('rate(pg_stat_database_xact_commit{datname!~"template.*"}[5m])', "{{datname}}"),
            unit="ops",
        )
    ).with_panel(
        lines(
            "Size",
            "Bytes of each database.",
            ('pg_database_size_bytes{datname!~"template.*"}', "{{datname}}"),
            unit="bytes",
        )
    )
