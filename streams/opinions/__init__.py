"""What services outside say of an alert's addresses and hashes: asked later, never in its way.

Only where ``SENTINEL_OPINIONS`` names a file of services does anything leave the machine, and
then only public addresses, hashes and, if asked for, domain names of alerts.
`store` finds what to ask in the evidence that is stored, `asking` asks within quotas and
writes the answers down beside the alert, `follow_up` tells subscribers; `services` has one
file a service, found by walking. It runs beside `streams.deliveries`, not in the pipeline:
an alert is stored and told whether or not anybody answers.
"""
