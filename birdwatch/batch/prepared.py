"""A request with its loaded model: everything that scoring depends on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from birdwatch._version import __version__
from birdwatch.audio.isolated import Decoders
from birdwatch.audio.windows import hop_frames_of
from birdwatch.batch.jobs import IN_PROCESS
from birdwatch.batch.request import RunRequest
from birdwatch.batch.scoring import Scoring
from birdwatch.config.policy import scoring_policy
from birdwatch.config.schema import class_rules
from birdwatch.model.classifier import OnnxClassifier
from birdwatch.model.label_names import locale_names, untranslated
from birdwatch.model.manifest import Manifest
from birdwatch.model.registry import find_model
from birdwatch.scores.policy import ScoringPolicy

__all__ = ["Prepared", "prepare"]

Notice = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Prepared:
    """All that scoring depends on, the same for every recording. parameters: what the results depend on, as values.

    segment_s: the length of a row of the kaggle table.
    """

    request: RunRequest
    scoring: Scoring
    parameters: dict[str, Any]
    segment_s: float

    @property
    def manifest(self) -> Manifest:
        """The first model's."""
        return self.scoring.classifier.manifest


def prepare(request: RunRequest, *, notice: Notice, decoders: Decoders = IN_PROCESS) -> Prepared:
    """Load the model of a request and make its policy. Raises BirdwatchError."""
    classifier = _classifier(request, notice)
    manifest = classifier.manifest
    policy = scoring_policy(request.settings, classifier, week=request.settings.week)
    if policy.species is not None:
        notice(f"species filter: {policy.species}")
    hop_frames = hop_frames_of(request.settings.hop, manifest.window_frames, manifest.rate_hz)
    keep_segments = any(output.form == "kaggle" for output in request.outputs)
    segment_s = request.blending.row_s or manifest.row_s
    scoring = Scoring(
        classifier,
        policy,
        request.settings.hop,
        policy.floors(request.min_score),
        keep_segments,
        segment_s=segment_s,
        overlap=request.blending.overlap,
        decoders=decoders,
    )
    parameters = _parameters(request, classifier, policy, hop_frames, keep_segments)
    return Prepared(request, scoring, parameters, segment_s)


def _classifier(request: RunRequest, notice: Notice) -> OnnxClassifier:
    settings = request.settings
    path = find_model(settings.model)
    names = None if settings.locale is None else locale_names(settings.locale, path)
    classifier = OnnxClassifier(path, provider=settings.provider, batch_size=request.batch, names=names)
    if names is not None and (count := untranslated(classifier.manifest, names)):
        notice(f"birdwatch: species without a name in {settings.locale}, which keep the model's: {count}")
    return classifier


def _parameters(
    request: RunRequest, classifier: OnnxClassifier, policy: ScoringPolicy, hop_frames: int, keep_segments: bool
) -> dict[str, Any]:
    """What the results depend on: a run is resumed only with the same."""
    manifest, settings, species = classifier.manifest, request.settings, policy.species
    return {
        "birdwatch": __version__,
        "model": manifest.name,
        "model_sha256": classifier.sha256,
        "provider": classifier.provider,
        "hop_s": hop_frames / manifest.rate_hz,
        **{name: getattr(settings, name) for name in class_rules()},
        "class": {code: asdict(own) for code, own in sorted(settings.class_.items())},
        "min_score": request.min_score,
        "segments": [request.blending.overlap, request.blending.row_s or manifest.row_s] if keep_segments else None,
        "filter": None if species is None else {"reason": str(species), "sha256": species.sha256},
    }
