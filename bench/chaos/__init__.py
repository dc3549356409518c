"""Fault injection: break a running platform and hold what it stored against a plain run.

``make chaos N=100`` runs `bench.chaos.__main__`; ``tests/chaos`` runs each fault once.
"""
