"""Grafana's dashboards as code: one module a dashboard, written as JSON by ``make dashboards``."""
