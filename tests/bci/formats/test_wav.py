"""WAV recordings."""

from __future__ import annotations

import wave

import numpy as np
import pytest
from scipy.io import wavfile

from bci.formats import FormatError, read
from sentinel import settings


def test_real_recordings_are_as_scipy_reads_them():
    folder = settings.load().data / "bci" / "neuralink"
    paths = sorted(folder.glob("*.wav"))
    if not paths:
        pytest.skip(f"no recordings in {folder}: set SENTINEL_DATA")
    for path in paths:
        rate, samples = wavfile.read(path)
        recording = read(path)
        assert recording.fs == rate == 19_531
        assert np.array_equal(recording.segments[0].samples[:, 0], samples)


def test_eight_bits_are_refused(tmp_path):
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(8000)
        file.writeframes(b"\x80" * 100)

    with pytest.raises(FormatError, match="expected 16-bit samples, found 8 bits"):
        read(tmp_path / "a.wav")


def test_other_bytes_are_refused(tmp_path):
    (tmp_path / "a.wav").write_bytes(b"RIFFnope")

    with pytest.raises(FormatError, match="expected a WAV file"):
        read(tmp_path / "a.wav")


def test_an_unknown_suffix_names_those_that_are_known(tmp_path):
    with pytest.raises(FormatError, match=r"\.ns5.*\.wav.*found \.mp3"):
        read(tmp_path / "a.mp3")
