"""How CloudTrail records become OCSF: classes, identities, targets; `connectors.cloudtrail`."""
