"""Subscriptions and their deliveries: what `api.routes.webhooks` and ``notifications`` share.

`models` is what requests and answers look like, `store` what is read and written, `routes`
the routes that both resources have.
"""
