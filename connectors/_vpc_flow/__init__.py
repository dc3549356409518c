"""VPC flow logs: their lines and the OCSF events they become; `connectors.vpc_flow`."""
