"""A seeded simulator: an hour of a small company on AWS and its Linux hosts, attacks inside.

What it is for: ``make run`` streams it, tests and benchmarks run on it where no real
data is at hand, and every event has a ground-truth label, so detection can be scored.
What it is not: real traffic. Rates, user agents and mistakes are plausible, not
measured anywhere; figures on it say that the path works, not how good detection is.

`company`
    the people, services and hosts, each with rhythms of their own
`cloudtrail`, `auditd`
    the two formats, written as AWS and the kernel write them
`stories`
    the attacks, step by step, each step with its ATT&CK technique
`hour`
    puts all of it in order of time

Everything derives from one seed: the same seed and start give the same bytes. All
names, accounts (AWS's documentation accounts) and addresses (RFC 5737) are synthetic.

>>> from sentinel.sample.hour import simulate
>>> events = list(simulate(seed=7, start=1_700_000_000, minutes=10))
>>> {event.source for event in events} == {"cloudtrail", "auditd"}
True
>>> sorted({event.label.story for event in events if event.label.attack})
['stolen-key', 'web-shell']
"""
