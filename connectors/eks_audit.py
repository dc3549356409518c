"""Amazon EKS: the audit log of its control planes, out of CloudWatch Logs.

The events are those of `connectors.k8s_audit`; here they come as CloudWatch Logs sends them to
those who subscribe: gzip, in base64 where Lambda or Kinesis put it into JSON
(`connectors._aws.subscription`), or read from the log group by the way in ``logs``.

The log group of a cluster (``/aws/eks/NAME/cluster``) has other logs beside the audit log:
subscribe with the filter pattern ``{ $.auditID = "*" }``, or read streams that begin with
``kube-apiserver-audit``; what else comes is a dead letter.

Source: EKS User Guide, "Send control plane logs to CloudWatch Logs".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

from connectors._aws.subscription import messages
from connectors.k8s_audit import K8sAudit


class EksAudit(K8sAudit):
    """Audit events of Amazon EKS, one JSON object each."""

    product: ClassVar[Mapping[str, Any]] = {"name": "Amazon EKS", "vendor_name": "AWS"}
    readers: ClassVar[dict[str, str]] = {"logs": "connectors._aws.logs:LogEvents"}

    def split(self, value: bytes) -> Iterable[bytes]:
        """Return the events of a message; raise DecodeError where it cannot be unpacked."""
        inside = messages(value)
        if inside is None:
            return super().split(value)
        return [event for message in inside for event in super(EksAudit, self).split(message)]
