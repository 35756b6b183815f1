"""Microphones: the one place that uses PortAudio, through sounddevice.

The callback looks at the status, copies, stamps and puts into a bounded queue. Whatever may hang in the sound library,
opening and closing above all, runs in a thread of its own, so that the daemon sees that it hangs.
"""

from __future__ import annotations

import atexit
import logging
import queue
import sys
import threading
import time
from typing import Any

from birdwatch.audio.types import FloatArray
from birdwatch.errors import DeviceError
from birdwatch.live.devices import InputDevice, find_device, hardware_signature, stable_names
from birdwatch.live.sound_system import SoundSystem
from birdwatch.live.source import DEVICE, Chunk, Clock

__all__ = ["Microphone", "input_devices"]

log = logging.getLogger(__name__)

# Blocks of 25 ms: the end of a window waits for the end of its block, and forty wake-ups a second cost next to nothing.
BLOCKS_A_SECOND = 40
# The queue between callback and daemon. One inference is tens of milliseconds; this bridges a machine in trouble.
QUEUE_S = 10
# A device with more is a mixing console or a virtual one like ALSA's `default`: two channels are enough.
MAX_CHANNELS = 8
# Where the device's own rate is refused, what most hardware can do.
COMMON_RATES_HZ = (48000, 44100, 32000, 16000)
# How long closing may take when the sound library hangs.
CLOSE_S = 2.0
# How old a list of devices may be while nothing says that it has changed.
SCAN_S = 60.0
# A card or a sound server is there a little before it can be used.
SETTLE_S = 15.0
_SYSTEM = SoundSystem()


def input_devices(*, rescan: bool = False) -> list[InputDevice]:
    """All devices that record. rescan: look again, which must not be done while a stream is open.

    Raises DeviceError where PortAudio is not installed or does not work.
    """
    sd = _sounddevice()
    try:
        if rescan:
            # PortAudio makes its list once, when it starts; this is the documented way to a new one.
            sd._terminate()
            sd._initialize()
        found = sd.query_devices()
        hosts = [host["name"] for host in sd.query_hostapis()]
        default = sd.default.device[0]
    except sd.PortAudioError as error:
        raise DeviceError(f"the sound system does not work: {error}; see `birdwatch doctor`") from error
    names = stable_names([(hosts[device["hostapi"]], device["name"]) for device in found])
    return [
        InputDevice(
            index=number,
            stable=name,
            channels=device["max_input_channels"],
            rate_hz=round(device["default_samplerate"]),
            default=number == default,
        )
        for number, (device, name) in enumerate(zip(found, names, strict=True))
        if device["max_input_channels"] > 0
    ]


class Microphone:
    """A sound device as a live source, found again by its stable name when it was unplugged.

    wanted: a number, a stable name or a part of one, None for the default device. Raises DeviceError where PortAudio
    is missing; a device that is missing is said by `ready`.
    """

    live = True
    finished = False
    traits = DEVICE
    lost_reason = "device-lost"

    def __init__(self, wanted: str | None, clock: Clock) -> None:
        _sounddevice()
        self._wanted = wanted
        self._clock = clock
        self._name = wanted or "default"
        self._queue = _new_queue()
        self._stream: Any = None
        self._opened: InputDevice | None = None
        self._fault: DeviceError | None = None
        self._opener: threading.Thread | None = None
        self._closer: threading.Thread | None = None
        self._ended = threading.Event()
        self._hardware: str | None = None
        self._changed_at = self._scanned_at = -SCAN_S

    @property
    def name(self) -> str:
        """The device's stable name once it was found."""
        return self._name

    def open(self) -> None:
        """Close what is open, look for the device anew and open it, in a thread: ask `ready`."""
        if self._opener is not None and self._opener.is_alive():
            return
        self._opened, self._fault = None, None
        # The last stream's callback keeps the old queue and event, so that it cannot interfere.
        self._queue, self._ended = _new_queue(), threading.Event()
        self._opener = threading.Thread(target=self._reopen, name="open-device", daemon=True)
        self._opener.start()

    def ready(self) -> bool:
        """Whether it is open. Raises DeviceError, once, where it could not be opened."""
        if self._opener is not None and self._opener.is_alive():
            return False
        fault, self._fault = self._fault, None
        if fault is not None:
            raise fault
        return self._opened is not None

    def read(self, timeout_s: float) -> list[Chunk]:
        """All chunks that have arrived. Raises DeviceError, once, where the stream has ended by itself."""
        chunks = []
        try:
            chunks.append(self._queue.get(timeout=timeout_s) if timeout_s > 0 else self._queue.get_nowait())
            while True:
                chunks.append(self._queue.get_nowait())
        except queue.Empty:
            pass
        if not chunks and self._opened is not None and self._ended.is_set():
            self._opened = None
            raise DeviceError(f"{self._name} stopped (was it unplugged?)")
        return chunks

    def close(self) -> None:
        """Close the stream; if the sound library hangs, give up after two seconds."""
        opening = self._opener is not None and self._opener.is_alive()
        self._closer = threading.Thread(target=self._close_stream, name="close-device", daemon=True)
        self._closer.start()
        # The library takes one call at a time: while it opens a device, nothing is captured and closing has to wait.
        # Where opening hangs, the end of the process would be two seconds that no accounting has.
        self._closer.join(0.0 if opening else CLOSE_S)

    @property
    def hangs(self) -> bool:
        """Whether a call into the sound library has not come back."""
        return any(thread is not None and thread.is_alive() for thread in (self._opener, self._closer))

    def _scan_due(self) -> bool:
        """Close what is open; True where the list of devices may be out of date.

        PortAudio loses some 13 KB with each new list (JACK's part of it), which a station that waits for its
        microphone for weeks would notice: so only for a while after a stream has ended or hardware has come or gone,
        and each minute.
        """
        hardware, now = hardware_signature(), time.monotonic()
        if self._stream is not None or hardware is None or hardware != self._hardware:
            self._hardware, self._changed_at = hardware, now
        self._close_stream()
        due = now - self._changed_at < SETTLE_S or now - self._scanned_at >= SCAN_S
        due = due and _SYSTEM.may_scan(hardware, now)
        if due:
            self._scanned_at = now
        return due

    def _reopen(self) -> None:
        with _SYSTEM.lock:
            self._find_and_start()

    def _find_and_start(self) -> None:
        try:
            device = find_device(self._wanted, input_devices(rescan=self._scan_due()))
            if self._wanted is not None and self._wanted == str(device.index):
                log.warning(
                    "device %s is %s now; numbers change when a device is plugged in: use --device '%s'",
                    self._wanted,
                    device.stable,
                    device.stable,
                )
            if self._wanted is not None:
                self._wanted = device.stable
            self._name = device.stable
            self._start(device)
            _SYSTEM.opened(self, self._close_stream)
            self._opened = device
        except DeviceError as error:
            self._fault = error

    def _start(self, device: InputDevice) -> None:
        sd = _sounddevice()
        own = device.channels if device.channels <= MAX_CHANNELS else 2
        rates_hz = [device.rate_hz, *(rate for rate in COMMON_RATES_HZ if rate != device.rate_hz)]
        refusals = []
        for rate_hz in rates_hz:
            for channels in dict.fromkeys([own, min(2, own), 1]):
                try:
                    self._stream = self._new_stream(sd, device, rate_hz, channels)
                    self._stream.start()
                except sd.PortAudioError as error:
                    refusals.append(f"{rate_hz} Hz, {channels} channels: {error}")
                    self._close_stream()
                    continue
                if (rate_hz, channels) == (device.rate_hz, own):
                    log.info("%s opened at its native %d Hz with %d channels", device.stable, rate_hz, channels)
                else:
                    log.warning(
                        "%s refused its native %d Hz with %d channels; opened at %d Hz with %d",
                        *(device.stable, device.rate_hz, own, rate_hz, channels),
                    )
                return
        raise DeviceError(f"{device.stable} cannot be opened ({refusals[0]}); is another program using it?")

    def _new_stream(self, sd: Any, device: InputDevice, rate_hz: int, channels: int) -> Any:
        chunks, clock = self._queue, self._clock
        limit = QUEUE_S * BLOCKS_A_SECOND
        lost_frames, overflowed = 0, False

        def callback(samples: FloatArray, frames: int, _time: Any, status: Any) -> None:
            nonlocal lost_frames, overflowed
            overflowed = overflowed or bool(status.input_overflow)
            if chunks.qsize() >= limit:
                lost_frames += frames
                return
            chunks.put(Chunk(samples.copy(), rate_hz, clock.now(), lost_frames, overflowed))
            lost_frames, overflowed = 0, False

        return sd.InputStream(
            device=device.index,
            samplerate=rate_hz,
            channels=channels,
            blocksize=max(1, rate_hz // BLOCKS_A_SECOND),
            dtype="float32",
            latency="high",
            callback=callback,
            finished_callback=self._ended.set,
        )

    def _close_stream(self) -> None:
        with _SYSTEM.lock:
            self._end_stream()

    def _end_stream(self) -> None:
        _SYSTEM.closed(self)
        stream, self._stream = self._stream, None
        if stream is not None:
            sd = _sounddevice()
            for end in (stream.abort, stream.close):
                try:
                    end()
                except sd.PortAudioError as error:
                    log.debug("closing %s: %s", self._name, error)


def _new_queue() -> queue.Queue[Chunk]:
    """No SimpleQueue: its `get` waits for ever where a signal handler ends behind the time-out (CPython 3.11).

    A station whose device was gone then obeyed no SIGTERM.
    """
    return queue.Queue()


def _sounddevice() -> Any:
    """The library, loaded when it is first needed: everything but listening works without it."""
    try:
        import sounddevice
    except OSError as error:
        hint = "sudo apt install libportaudio2" if sys.platform == "linux" else "install PortAudio"
        raise DeviceError(f"sound input needs PortAudio, which is not installed ({error}): {hint}") from error
    # Its own clean-up at the end of the process waits for a sound server that may be gone; the kernel's does not.
    atexit.unregister(getattr(sounddevice, "_exit_handler", input_devices))
    return sounddevice
