"""Result codes, states and other numbers of the CereStim 96 (``BStimulator.h``, API 5.3)."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple


class Result(IntEnum):
    """What a call returns: 0 for success, -1 to -24 by the library, from -100 by the device."""

    SUCCESS = 0
    NOT_IMPLEMENTED = -1
    UNKNOWN = -2
    NULL_PTR = -4
    INVALID_INTERFACE = -5
    INVALID_PARAMS = -8
    DISCONNECTED = -9
    CONNECTED = -10
    INVALID_COMMAND = -14
    FREQ_PERIOD_ZERO = -23
    NO_DEVICE_SELECTED = -24
    NOK = -100
    SEQUENCE_ERROR = -102
    INVALID_TRIGGER = -103
    INVALID_CHANNEL = -104
    INVALID_CONFIG = -105
    INVALID_NUMBER = -106
    INVALID_RWR = -107
    INVALID_VOLTAGE = -108
    INVALID_AMPLITUDE = -109
    INVALID_AFCF = -110
    INVALID_PULSES = -111
    INVALID_WIDTH = -112
    INVALID_INTERPULSE = -113
    INVALID_INTERPHASE = -114
    INVALID_MODULE = -116
    STIMULI_MODULES = -117
    MODULE_UNAVAILABLE = -118
    CHANNEL_USED_IN_GROUP = -119
    CONFIG_NOT_ACTIVE = -120
    EMPTY_CONFIG = -121
    PHASE_NOT_BALANCED = -122
    PHASE_GREAT_MAX = -123
    AMP_GREAT_MAX = -124
    WIDTH_GREAT_MAX = -125
    VOLT_GREAT_MAX = -126
    MODULE_DISABLED = -127
    MODULE_ENABLED = -128
    INVALID_FREQUENCY = -129
    FREQUENCY_GREAT_MAX = -130
    DEVICE_LOCKED = -131
    ECHO_ERROR = -132


class Status(IntEnum):
    """State of the sequence (``BSeqType`` of the 96; the Stim100's order is another)."""

    STOPPED = 0
    PAUSED = 1
    PLAYING = 2
    WRITING = 3
    TRIGGER = 4


class Trigger(IntEnum):
    """Edges of the TTL input that start a sequence."""

    DISABLED = 0
    RISING = 1
    FALLING = 2
    CHANGE = 3


class Module(IntEnum):
    """State of a current module."""

    UNAVAILABLE = 0
    ENABLED = 1
    DISABLED = 2
    OK = 3
    VOLTAGE_LIMITATION = 4


class Answer(NamedTuple):
    """What a call gives back.

    Attributes
    ----------
    result
        Code.
    output
        What the call asks for: a number, a list or a dict that JSON can hold, else None.
    """

    result: Result
    output: Any = None


OK = Answer(Result.SUCCESS)
