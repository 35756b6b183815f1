"""Finds, checks and caches all inputs of a run before training starts."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from birdwatch.errors import ConfigError, SourceError
from birdwatch.model.frontend import FrontendSpec
from birdwatch.model.manifest import Label

from .cache import MelCache
from .dataset import (
    Recording,
    file_digest,
    fingerprint,
    labels_of,
    read_folder,
    read_table,
    read_taxonomy,
    read_unlabelled,
    with_codes,
)
from .prepare import prepare
from .settings import Settings
from .soft_labels import SoftLabels, read_soft_labels
from .teacher import Teacher, read_teacher
from .varied import NOTE, Varied, read_varied
from .windows import Source, source

__all__ = ["Data", "gather", "labelled_recordings"]

Say = Callable[[str], None]
# Faulty files that are listed by name; the rest are counted.
LISTED = 20


@dataclass(frozen=True, slots=True)
class Data:
    """sources: one for each of `recordings`, then the extra ones and the negatives, which are only trained on.

    fingerprint: changes with any recording, label or background. soft_labels: with the tables of soft labels and the
    teacher's embeddings.
    """

    labels: tuple[Label, ...]
    recordings: tuple[Recording, ...]
    sources: tuple[Source, ...]
    backgrounds: tuple[Source, ...]
    pseudo: tuple[Source, ...]
    fingerprint: str
    soft_labels: str
    teacher: Teacher | None = None
    varied: Varied | None = None

    @property
    def codes(self) -> tuple[str, ...]:
        """The classes' codes, in their order."""
        return tuple(label.code for label in self.labels)


def labelled_recordings(settings: Settings) -> tuple[list[Recording], tuple[Label, ...]]:
    """The recordings of the data set and its classes, as the settings name them."""
    if not settings.audio_root:
        raise ConfigError("give the recordings' folder with --audio-root")
    root = Path(settings.audio_root)
    recordings = read_table(Path(settings.data), root) if settings.data else read_folder(root)
    if settings.taxonomy:
        recordings = with_codes(recordings, read_taxonomy(Path(settings.taxonomy)))
    return recordings, labels_of(recordings, settings.taxonomy)


@dataclass(frozen=True, slots=True)
class Found:
    """What is trained with beside the data set's recordings; extra: with the negatives at its end."""

    extra: list[Recording]
    backgrounds: list[Recording]
    soundscapes: list[Recording]
    pseudo_labels: SoftLabels


def find(settings: Settings, labels: Sequence[Label]) -> Found:
    """Read the tables and folders that the settings name beside the data set."""
    codes = [label.code for label in labels]
    extra = read_table(Path(settings.extra_data), Path(settings.extra_root)) if settings.extra_data else []
    extra = with_codes(extra, labels)
    negatives = read_unlabelled(Path(settings.negatives)) if settings.negatives else []
    backgrounds = read_unlabelled(Path(settings.background)) if settings.background else []
    pseudo_labels = SoftLabels({}, 0)
    soundscapes: list[Recording] = []
    if settings.pseudo:
        pseudo_labels = read_soft_labels(Path(settings.pseudo), codes)
        root = Path(settings.pseudo_root)
        soundscapes = [Recording(name, root / name) for name in sorted(pseudo_labels.spans)]
        if not soundscapes:
            raise ConfigError(f"{settings.pseudo} has no rows")
    return Found([*extra, *negatives], backgrounds, soundscapes, pseudo_labels)


def cached(
    settings: Settings, spec: FrontendSpec, recordings: Sequence[Recording], *, say: Say, quiet: bool
) -> tuple[list[Path], set[int]]:
    """The mel arrays of the recordings, made where they lack, and the numbers of those that cannot be used."""
    cache = MelCache.open(Path(settings.cache), spec, centre=settings.clip == "center" and not settings.pseudo)
    arrays, faults = prepare(cache, recordings, quiet=quiet)
    if faults:
        text = "\n".join(f"  {fault}" for fault in faults[:LISTED])
        more = f"\n  ... and {len(faults) - LISTED} more" if len(faults) > LISTED else ""
        if not settings.skip_broken:
            raise SourceError(
                f"{len(faults)} of {len(recordings)} recordings cannot be used:\n{text}{more}\n"
                "repair them, take them out of the data, or give --skip-broken"
            )
        say(f"left out, {len(faults)} recordings that cannot be used:\n{text}{more}")
    return arrays, {number for number, array in enumerate(arrays) if not array.is_file()}


def say_coverage(
    settings: Settings, own: Sequence[Source], extra: Sequence[Source], teacher: Teacher | None, say: Say
) -> None:
    """Say how many recordings soft labels and a teacher's embeddings cover."""
    if settings.soft_labels:
        covered = sum(item.spans is not None for item in own)
        say(f"soft labels for {covered} of {len(own)} recordings; the others keep their own labels")
    if teacher is not None:
        covered = sum(item.embeddings is not None for item in (*own, *extra))
        say(
            f"a teacher's embeddings for {covered} of {len(own) + len(extra)} recordings, "
            f"its classifier for {int(teacher.known.sum())} of {len(teacher.known)} classes"
        )


def varied_sounds(
    settings: Settings, spec: FrontendSpec, teacher: Teacher, codes: Sequence[str], names: set[str]
) -> Varied:
    """The sounds of `train vary`; raises ConfigError where they were made of recordings other than `names`."""
    if teacher.kind != "sigmoid":
        raise ConfigError(
            f"synthetic mixtures need a teacher with a classifier; that of {settings.teacher} is {teacher.kind}"
        )
    varied = read_varied(Path(settings.varied), spec, teacher, codes)
    unknown = {item.filename for sound in varied.made_of for item in sound} - names
    if unknown:
        raise ConfigError(
            f"{settings.varied} was made of other recordings, such as {min(unknown)}; no fold could hold those out"
        )
    return varied


def gather(settings: Settings, spec: FrontendSpec, *, say: Say, quiet: bool = False) -> Data:
    """Read all that `settings` name, and fill the mel cache.

    Raises SourceError with every recording that is missing or broken, unless `skip_broken`; ConfigError where files
    do not fit together. say: takes lines for the user.
    """
    if not settings.cache:
        raise ConfigError("give a folder for the mel spectrograms with --cache")
    recordings, labels = labelled_recordings(settings)
    codes = [label.code for label in labels]
    found = find(settings, labels)
    everything = [*recordings, *found.extra, *found.backgrounds, *found.soundscapes]
    arrays, broken = cached(settings, spec, everything, say=say, quiet=quiet)
    soft = read_soft_labels(Path(settings.soft_labels), codes) if settings.soft_labels else SoftLabels({}, 0)
    if soft.unknown:
        say(f"{settings.soft_labels}: {soft.unknown} rows name labels outside the {len(codes)} classes; not used")
    teacher = read_teacher(Path(settings.teacher), codes) if settings.teacher else None
    index = {code: number for number, code in enumerate(codes)}

    def build(these: Sequence[Recording], first: int, table: SoftLabels) -> list[tuple[Recording, Source]]:
        return [
            (recording, _source(recording, arrays[first + i], spec, index, table, teacher, settings))
            for i, recording in enumerate(these)
            if first + i not in broken
        ]

    start = 0
    parts = []
    for part, table in (
        (recordings, soft),
        (found.extra, soft),
        (found.backgrounds, SoftLabels({}, 0)),
        (found.soundscapes, found.pseudo_labels),
    ):
        parts.append(build(part, start, table))
        start += len(part)
    if not parts[0]:
        raise SourceError("no recording is left to train on")
    say_coverage(settings, [item for _, item in parts[0]], [item for _, item in parts[1]], teacher, say)
    varied = None
    if settings.varied and teacher is not None:
        names = {item.filename for part in parts[:2] for _, item in part}
        varied = varied_sounds(settings, spec, teacher, codes, names)
        say(f"{len(varied)} synthetic mixtures with scores of the teacher")
    kept = [pair for part in parts for pair in part]
    return Data(
        labels,
        tuple(recording for recording, _ in parts[0]),
        (*(item for _, item in parts[0]), *(replace(item, extra=True) for _, item in parts[1])),
        tuple(item for _, item in parts[2]),
        tuple(item for _, item in parts[3]),
        fingerprint([recording for recording, _ in kept], [item.array for _, item in kept]),
        file_digest(
            settings.soft_labels, settings.pseudo, settings.teacher, f"{settings.varied}/{NOTE}" if varied else ""
        ),
        teacher,
        varied,
    )


def _source(
    recording: Recording,
    array: Path,
    spec: FrontendSpec,
    index: dict[str, int],
    table: SoftLabels,
    teacher: Teacher | None,
    settings: Settings,
) -> Source:
    labels = [index[recording.label]] if recording.label in index else []
    secondary = [index[code] for code in recording.secondary if code in index and index[code] not in labels]
    masked: list[int] = []
    if settings.secondary == "used":
        labels += secondary
    elif settings.secondary == "masked":
        masked = secondary
    return source(
        array,
        recording.filename,
        spec,
        labels=tuple(labels),
        masked=tuple(masked),
        spans=table.spans.get(recording.filename),
        embeddings=None if teacher is None else teacher.recordings.get(recording.filename),
        audio=recording.path,
    )
