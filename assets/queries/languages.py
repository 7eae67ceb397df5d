"""Say which languages have lists of entries, and which Wikipedias each list is made of."""

from collections.abc import Mapping, Sequence

from metaclip_dagster.words.languages import ALL, OTHER, assign_wikis, list_names
from resources.lake.resource import WHOLE, Lake
from resources.sources.resource import Sources

_TEXTS, _SET_APART, _AS_THE_PAPER = "texts", "clause marks set apart", "marks of the paper"


def describe_texts(languages: Sequence[str], *, clause_marks: bool) -> dict[str, str]:
    """For the manifest of ENTRIES: how texts are searched for them, where that is not as English alone is."""
    return {} if [*languages] == ["en"] else {_TEXTS: _SET_APART if clause_marks else _AS_THE_PAPER}


def read_texts(lake: Lake) -> str:
    """What `describe_texts` said of the finished ENTRIES."""
    return lake.manifest("entries").inputs.get(_TEXTS, "")


def sets_clause_marks_apart(lake: Lake) -> bool:
    """Whether clause marks of other scripts are set apart in the texts that ENTRIES are searched in.

    Not for English alone, which has none, nor for ENTRIES of a version that did not say, as matches of them have not.
    """
    return read_texts(lake) == _SET_APART


def wikis_of(sources: Sources) -> dict[str, str]:
    """The language of every Wikipedia that is read, by its code, language by language.

    A language without a dump has the Wikipedia of its name, so that whoever opens that says what is missing; one with
    a list of your own has none.
    """
    assigned = _assign_wikis(sources)
    if not assigned:
        raise FileNotFoundError(f"{sources.wikipedia}: no dump of any Wikipedia; `metaclip download dump` brings them")
    if [*sources.languages] == [ALL] and "en" not in assigned:
        raise FileNotFoundError(
            f"{sources.wikipedia}: no dump of the English Wikipedia, from which all other languages have their t; "
            "put it there (enwiki-*), or name the languages by their codes"
        )
    return {wiki: language for language, wikis in assigned.items() for wiki in wikis or [language]}


def list_languages(sources: Sources) -> list[str]:
    """The languages that WordNet and Wikipedias are read for, in the order of their entries."""
    return [*_assign_wikis(sources)]


def choose_lists(own_lists: Mapping[str, str], asked: Sequence[str]) -> dict[str, str]:
    """Those of one's own lists, by the codes of languages, that are of languages asked for; `all` asks for each."""
    names = {list_names(language)[0] for language in asked}
    return {
        language: url for language, url in own_lists.items() if list_names(language)[0] in names or [*asked] == [ALL]
    }


def choose_languages(
    lake: Lake, asked: Sequence[str], sources: Sequence[str], *, listed: Sequence[str] = (), other: bool = True
) -> list[str]:
    """The languages that entries are built for: those asked for, or with `all` those that a source was made for.

    `listed` are codes of languages with lists of one's own: with `all`, these have entries too. `other` is among the
    languages only where it may be. Raises FileNotFoundError where `all` finds no source, ValueError where no language
    is left.
    """
    if [*asked] == [ALL]:
        manifests = [lake.manifest(name) for name in sources if lake.finished(name, [WHOLE])]
        names = dict.fromkeys(shard.key for manifest in manifests for shard in manifest.shards)
        if not names:
            raise FileNotFoundError(
                f"languages: `{ALL}` are those of the sources, and of {', '.join(sources)} none was materialized; "
                "materialize one, or name languages by their codes"
            )
        if listed:
            every = {*names, *(list_names(language)[0] for language in listed)}
            names = dict.fromkeys(sorted(every, key=lambda name: (name != "en", name == OTHER, name)))
    else:
        names = dict.fromkeys(list_names(language)[0] for language in asked)
    chosen = [name for name in names if other or name != OTHER]
    if not chosen:
        raise ValueError("languages: `other` is the only one, and `other: false` leaves it out; name another")
    return chosen


def _assign_wikis(sources: Sources) -> dict[str, list[str]]:
    listed = {list_names(language)[0] for language in sources.listed}
    assigned = assign_wikis(sources.dumps().wikis(), sources.languages)
    return {language: wikis for language, wikis in assigned.items() if wikis or language not in listed}
