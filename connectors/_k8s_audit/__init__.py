"""What the audit logs of Kubernetes share, of a cluster's own and of those that clouds run."""
