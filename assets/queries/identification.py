"""Who tells the language of a text: the model, or the two models, that the deployment names."""

from assets.defaults import DEFAULTS
from metaclip_dagster.words.labels import code_of_label
from metaclip_dagster.words.languages import LANGUAGES
from resources.deferred import Deferred, version_of
from resources.files.digests import combine
from resources.models.fasttext_files import digest_of
from resources.models.language_id import MODEL, check_model, load_agreement, load_identifier, load_model
from resources.variables import LID_176


def language_identification(models: tuple[str, ...] = DEFAULTS.language_id) -> Deferred:
    """What workers identify languages with: one model, or two that have to agree; lid.176 or files of models.

    Its version knows what files hold, not where they lie or which is named first. Raises FileNotFoundError or
    ValueError, naming the variable, for a file that is no such model.
    """
    identifiers = [_identifier(model) for model in models]
    if len(identifiers) == 1:
        return identifiers[0]
    return Deferred(load_agreement, tuple(sorted(identifiers, key=version_of)))


def identified_languages(models: tuple[str, ...] = DEFAULTS.language_id) -> list[str]:
    """The codes that texts may be identified as: of two models those that both have. Raises as above."""
    codes = [LANGUAGES if model == LID_176 else {*_read_codes(model).values()} for model in models]
    return sorted(frozenset.intersection(*map(frozenset, codes)))


def _identifier(model: str) -> Deferred:
    if model == LID_176:
        return Deferred(load_identifier, declared=MODEL)
    codes = _read_codes(model)
    # A table of labels that changes makes other matches.
    labels = combine(f"{label} {code}" for label, code in codes.items())
    digest = digest_of(model)
    # Workers compare it: the file may be replaced in the meantime, and other machines have files of their own.
    return Deferred(load_model, (model, code_of_label, digest), declared=f"fastText model {digest}, labels {labels}")


def _read_codes(model: str) -> dict[str, str]:
    try:
        return check_model(model, code_of_label, LANGUAGES)
    except (FileNotFoundError, ValueError) as error:
        raise type(error)(f"METACLIP_LANGUAGE_ID: {error}") from None
