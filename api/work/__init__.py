"""What people do with alerts, incidents and findings: their life cycle, apart from HTTP.

`alerts`    changes of alerts: what may be changed, in one transaction with history and audit
`feedback`  dispositions on their way to the topic ``feedback``
`learning`  what dispositions change at once: thresholds of models
"""
