"""What a subscription is, for those who keep it (API) and those who serve it (streams).

`model` is the subscription with its filter and options, `kinds` what each kind of channel
needs to know, `vault` keeps secrets at rest, `signing` signs as Standard Webhooks 1.0.0 says,
`schedule` knows digests and quiet hours, `egress` where anything may be sent.
"""
