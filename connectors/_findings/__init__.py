"""What scanners share: cutting reports up, who a finding is, severity, OCSF's objects.

A report is one document with many findings. It is cut into *units*, one a finding, each
with the scan it belongs to (`connectors._findings.report`), so that a stage downstream can
conclude that a finding is gone: only from a scan that is there in full.

Classes, by OCSF's own definitions: a known vulnerability of a package is a Vulnerability
Finding (2002); a check of a resource or of infrastructure as code against a benchmark or
policy, and a licence against one, is a Compliance Finding (2003), failed or passed; a secret
in a file is a Data Security Finding (2006: "secrets management" is named there); what static
analysis finds in code is an Application Security Posture Finding (2007). The end of a scan
is a Scan Activity (6007) with the number of findings, also where that is none.
"""
