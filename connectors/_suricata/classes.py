"""The OCSF class and activity of Suricata's EVE events, and how what they saw ended."""

from __future__ import annotations

from typing import Any, Final

from schemas.ocsf import (
    DETECTION_FINDING,
    DHCP_ACTIVITY,
    DNS_ACTIVITY,
    FTP_ACTIVITY,
    HTTP_ACTIVITY,
    NETWORK_ACTIVITY,
    OTHER,
    RDP_ACTIVITY,
    SMB_ACTIVITY,
    SSH_ACTIVITY,
)

_OPEN, _CLOSE, _REFUSE, _TRAFFIC = 1, 2, 5, 6
_UNKNOWN, _SUCCESS, _FAILURE = 0, 1, 2
CLASSES: Final = {
    "alert": DETECTION_FINDING,
    "dhcp": DHCP_ACTIVITY,
    "dns": DNS_ACTIVITY,
    "ftp": FTP_ACTIVITY,
    "ftp_data": FTP_ACTIVITY,
    "http": HTTP_ACTIVITY,
    "http2": HTTP_ACTIVITY,
    "rdp": RDP_ACTIVITY,
    "smb": SMB_ACTIVITY,
    "ssh": SSH_ACTIVITY,
}
#: What is none of these is Network Activity.
_NETWORK: Final = {"drop": _REFUSE, "flow": _CLOSE, "netflow": _TRAFFIC, "tls": _OPEN}
_METHODS: Final = {
    "CONNECT": 1,
    "DELETE": 2,
    "GET": 3,
    "HEAD": 4,
    "OPTIONS": 5,
    "POST": 6,
    "PUT": 7,
    "TRACE": 8,
    "PATCH": 9,
}
_DNS: Final = {"query": 1, "request": 1, "answer": 2, "response": 2}
_DHCP: Final = {
    "discover": 1,
    "offer": 2,
    "request": 3,
    "decline": 4,
    "ack": 5,
    "nak": 6,
    "release": 7,
    "inform": 8,
}
_FTP: Final = {"STOR": 1, "RETR": 2, "DELE": 4, "RNFR": 5, "RNTO": 5, "LIST": 6, "NLST": 6}
_RDP: Final = {
    "initial_request": 1,
    "initial_response": 2,
    "connect_request": 3,
    "connect_response": 4,
    "tls_handshake": 5,
}
_SMB: Final = {"SMB2_COMMAND_CREATE": 2, "SMB1_COMMAND_CREATE_ANDX": 2, "SMB1_COMMAND_OPEN_ANDX": 2}
#: Activity by the value that tells it.
_TELLS: Final[dict[int, dict[str, int]]] = {
    DHCP_ACTIVITY: _DHCP,
    DNS_ACTIVITY: _DNS,
    FTP_ACTIVITY: _FTP,
    HTTP_ACTIVITY: _METHODS,
    RDP_ACTIVITY: _RDP,
    SMB_ACTIVITY: _SMB,
}
_FIRST_FAILURE: Final = 400  # HTTP


def classify(event_type: str, told: str) -> tuple[int, int]:
    """Return class and activity; `told` is the method, command or type of the protocol."""
    class_uid = CLASSES.get(event_type, NETWORK_ACTIVITY)
    if class_uid in (DETECTION_FINDING, SSH_ACTIVITY):
        return class_uid, _OPEN  # of a finding: Create
    if class_uid == NETWORK_ACTIVITY:
        return class_uid, _NETWORK.get(event_type, OTHER)
    return class_uid, _TELLS[class_uid].get(told, OTHER)


def status(class_uid: int, outcome: Any) -> int:
    """Return OCSF's status of an answer: HTTP's number, or the word of another protocol."""
    if class_uid == HTTP_ACTIVITY:
        if outcome.__class__ is not int or outcome <= 0:
            return _UNKNOWN
        return _SUCCESS if outcome < _FIRST_FAILURE else _FAILURE
    if outcome.__class__ is not str or not outcome:
        return _UNKNOWN
    if class_uid == SMB_ACTIVITY:
        return _SUCCESS if outcome == "STATUS_SUCCESS" else _FAILURE
    return (_SUCCESS if outcome == "NOERROR" else _FAILURE) if class_uid == DNS_ACTIVITY else 0
