"""GuardDuty's findings as OCSF Detection Findings; `connectors.guardduty`."""
