"""What keeps alerts quiet: suppressions, maintenance windows, budgets, tunings of a tenant.

They apply alike to alerts of rules, models, risk and correlations, where those leave correlate,
and by the same scopes to findings of scanners. An alert that is kept quiet is not dropped: it is
written with the status ``suppressed`` and the id of what suppressed it, can be searched, counts
in the ledger, and notifies no one. A repeat that nothing suppresses any more opens it again.

Everything is decided by what the alert says of itself (arrival and event time), never by the
clock, so that a replay decides the same: a suppression holds for what *arrives* from its start
to its end, a maintenance window for what *happens* within it.
"""
