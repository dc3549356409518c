"""Alerts on their way out: the outbox, who takes from it, and the channels.

`outlet` writes what `streams.deliver` made of alerts into the outbox, with the offset in the
same transaction; `sender` takes what is due, in order, and records what became of it; `retry`
says when to try again; `escalate` and `tickets` follow up; `http` is the only
way to the outside, to what `sentinel.subscribers.egress` lets through; `adapters` has one file a
kind of channel, found by walking.
"""
