"""Turn wikitext into the running text that a reader sees, and text into runs of words."""

import html
import re
from collections.abc import Collection, Iterator

import mwparserfromhell
from mwparserfromhell.nodes import Comment, ExternalLink, Heading, HTMLEntity, Tag, Text, Wikilink

from metaclip_dagster.metadata.namespaces import is_shown
from metaclip_dagster.words.languages import CLAUSE_MARKS
from metaclip_dagster.words.scripts import fold_text, segment_words

# What no running text is in goes before the parser sees it: that takes three quarters off its time, and the parser,
# which costs the square of what is opened and never closed, never meets such tags, templates and tables.
_HIDDEN = (  # elements whose contents are no running text
    "categorytree charinsert gallery graph imagemap includeonly indicator inputbox mapframe maplink pre quiz ref "
    "references section source syntaxhighlight templatedata templatestyles timeline"
)
_INLINE = ("ce", "chem", "hiero", "math", "score")  # those that show no words within a sentence
_ELEMENTS = (*_HIDDEN.split(), *_INLINE, "nowiki")
_OPENING = re.compile(rf"<(?:!--|({'|'.join(_ELEMENTS)})(?=[\s/>])[^<>]*>)", re.IGNORECASE)
_CLOSING = {name: re.compile(rf"</{name}\s*>", re.IGNORECASE) for name in _ELEMENTS}
# With braces of its own, which may be lone ones, but with no template in it.
_TEMPLATE = re.compile(r"\{\{(?:[^{}]|\{[^{}]*+\}(?!\}(?!\}))|\{(?!\{)|\}(?!\}))*+\}\}")
# What wikis of a language with several scripts show in the reader's: -{flags|zh-hans:鼠标;zh-hant:滑鼠}-.
_CONVERTED = re.compile(r"-\{(?:([A-Za-z; -]*)\|)?([^{}]*)\}-")
_VARIANT = re.compile(r"\s*[a-z]{2,3}(?:-[a-z]+)*\s*:([^;]*)")
_MAX_DEPTH = 40  # to which MediaWiki itself expands templates within templates
_TABLE_EDGE = re.compile(r"^[ \t:]*(\{\||\|\})", re.MULTILINE)
_TABLE_LINE = re.compile(r"^[ \t:]*(?:\{\||\||!).*$", re.MULTILINE)
_LINE_TAG = re.compile(r"</?(?:br|p|div|li|tr|td|blockquote|center)\b[^<>]*>", re.IGNORECASE)
_TAG = re.compile(r"</?[a-z][^<>]*>", re.IGNORECASE)
_STYLE = re.compile(r"'{2,5}|__\w+?__")
_LIST_MARKERS = re.compile(r"^[*#:;]+", re.MULTILINE)
_LINK = re.compile(r"\[\[([^\[\]|\n]+)(?:\|((?:[^\[\]]|\[[^\[\]\n]+\])*+))?\]\]")  # with no other link of a wiki inside
_HEADING = re.compile(r"^(={1,6})(.+?)\1[ \t]*$", re.MULTILINE)
_GRAMMAR = ("[", "&", "----", "://", "mailto:")  # what is left for the parser to read
_PARAGRAPHS = re.compile(r"\n{2,}")
_MAX_PARAGRAPH = 10_000  # characters; longer ones go line by line, longer lines are cut
_MAX_UNCLOSED = 8  # brackets that a paragraph opens and does not close; with more, all of them are text
# What a <nowiki> holds is text, whatever it looks like: its marks go through the rest as entities.
_LITERAL = {ord(mark): f"&#{ord(mark)};" for mark in "!'()*+-/:<=>?@[\\]_`{|}~\n"}

# Words are apart at white space and at what ends a clause, a quotation or a bracket. Matching parts texts at the seven
# marks , . ; : ? ! ` (Xu et al. 2023, section 3.2) and at its language's own, so no word may hold one.
_BREAK = r",.;:?!`…—\"“”„«»()\[\]{}<>|*=•\x00-\x1f\x7f-\x9f"
_EDGES = "'‘’‚-–−_~/\\^&#@·"


def strip_markup(wikitext: str, not_shown: Collection[str] = ()) -> str:
    """The running text of a page: link labels, headings and lists stay; templates, tables, notes, files and markup go.

    A paragraph a block. A template leaves an ellipsis: the words around it are not neighbours. Of what a wiki shows in
    the reader's script the first is taken. `not_shown` are names, in lower case, of namespaces whose pages a link puts
    beside the text or under it, as a dump's head tells them; `is_shown` knows most.

    >>> strip_markup("The '''[[dog]]''' is a [[wolf|tame wolf]].<ref>Darwin</ref>")
    'The dog is a tame wolf.'
    """
    text = _cut_elements(wikitext)
    for _ in range(_MAX_DEPTH):
        text, num_templates = _TEMPLATE.subn("…", text)
        text, num_converted = _CONVERTED.subn(_take_variant, text)
        if not num_templates + num_converted:
            break
    text = _HEADING.sub(r"\2", _LIST_MARKERS.sub("", _TABLE_LINE.sub("", _cut_tables(text))))
    # A brace or an angle that is left opens nothing.
    text = _TAG.sub("", _LINE_TAG.sub("\n", text)).replace("<", "&lt;").replace("{", "&#123;")
    text = _STYLE.sub(_keep_names, text)
    for _ in range(_MAX_DEPTH):  # from the inside out: captions hold links
        text, num_links = _LINK.subn(lambda link: _show_link(link[1], link[2], not_shown), text)
        if not num_links:
            break
    parsed = ("".join(_read_part(part, not_shown)) for part in _split_parts(text))
    blocks = ("\n".join(filter(None, map(str.strip, block.split("\n")))) for block in parsed)
    return "\n\n".join(filter(None, blocks))


def split_runs(text: str, language: str = "en") -> Iterator[list[str]]:
    """The words of each stretch of text that no mark, bracket, quotation or line end interrupts.

    Words are as the text has them: their case, inner apostrophes, hyphens and slashes stay, quotes and hyphens at
    their edges go; what has no letter or digit is no word, and interrupts. In languages written without spaces words
    are those of `segment_words`, and a space interrupts too.

    >>> list(split_runs("The dog's 2 AC/DC songs (mostly); C++ & R&B"))
    [['The', "dog's", '2', 'AC/DC', 'songs'], ['mostly'], ['C++'], ['R&B']]
    """
    for stretch in re.split(f"[{_BREAK}{CLAUSE_MARKS.get(language, '')}]+", fold_text(text, language)):
        run: list[str] = []
        for piece in segment_words(stretch, language):
            word = piece.strip(_EDGES)
            if any(map(str.isalnum, word)):
                run.append(word)
            elif run:
                yield run
                run = []
        if run:
            yield run


def _cut_elements(text: str) -> str:
    """The wikitext without comments and the elements whose contents are no running text.

    As in MediaWiki the first that opens counts, an element ends with the first tag that closes it, and one that
    nothing closes is text.
    """
    pieces: list[str] = []
    begin, at = 0, 0
    never_closed: set[str] = set()
    while opening := _OPENING.search(text, at):
        name = (opening[1] or "").lower()
        at = opening.end()
        if not name:
            end = text.find("-->", at)
            inner, at = "", end + 3 if end >= 0 else len(text)
        elif text[at - 2] == "/":
            inner = ""
        elif name in never_closed or not (closing := _CLOSING[name].search(text, at)):
            never_closed.add(name)
            continue
        else:
            inner, at = text[at : closing.start()], closing.end()
        shown = inner.translate(_LITERAL) if name == "nowiki" else "…" if name in _INLINE else ""
        pieces += text[begin : opening.start()], shown
        begin = at
    return "".join([*pieces, text[begin:]])


def _cut_tables(text: str) -> str:
    """The wikitext without the tables that are closed, with the tables in them."""
    pieces: list[str] = []
    opened: list[int] = []  # where the open tables begin
    begin = 0
    for edge in _TABLE_EDGE.finditer(text):
        if edge[1] == "{|":
            opened.append(edge.start())
        elif opened:
            start = opened.pop()
            if not opened:
                pieces.append(text[begin:start])
                begin = edge.end()
    return "".join([*pieces, text[begin:]])


def _keep_names(style: re.Match[str]) -> str:
    """Nothing for quotes and magic words, which are in capitals where a script has them; a name like __init__ stays."""
    return style[0] if style[0] != style[0].upper() else ""


def _split_parts(text: str) -> Iterator[str]:
    for paragraph in _PARAGRAPHS.split(text):
        for lines in [paragraph] if len(paragraph) <= _MAX_PARAGRAPH else paragraph.split("\n"):
            for start in range(0, len(lines), _MAX_PARAGRAPH):
                part = lines[start : start + _MAX_PARAGRAPH]
                unclosed = part.count("[") - part.count("]")
                yield part if unclosed <= _MAX_UNCLOSED else part.replace("[", "&#91;")


def _take_variant(converted: re.Match[str]) -> str:
    flags, text = converted.groups()
    if {flag.strip() for flag in (flags or "").split(";")} & {"H", "T", "-"}:
        return ""  # a rule for the rest of the page, or for its title
    variant = _VARIANT.match(text)
    return variant[1].strip() if variant else text


def _show_link(title: str, text: str | None, not_shown: Collection[str]) -> str:
    if not is_shown(title, not_shown):
        return ""
    return title if text is None else text


def _read_part(part: str, not_shown: Collection[str]) -> Iterator[str]:
    if any(sign in part for sign in _GRAMMAR):
        return _show_nodes(mwparserfromhell.parse(part, skip_style_tags=True), not_shown)
    return iter((part,))


def _show_nodes(code: mwparserfromhell.wikicode.Wikicode | None, not_shown: Collection[str]) -> Iterator[str]:
    for node in code.nodes if code is not None else ():
        match node:
            case Text():
                yield str(node)
            case HTMLEntity():
                yield html.unescape(str(node))
            case Wikilink():
                if is_shown(str(node.title), not_shown):
                    yield from _show_nodes(node.title if node.text is None else node.text, not_shown)
            case ExternalLink():
                yield from _show_nodes(node.title, not_shown)
            case Heading():
                yield "\n"
                yield from _show_nodes(node.title, not_shown)
                yield "\n"
            case Tag():
                yield from _show_nodes(node.contents, not_shown)
            case Comment():
                pass
            case _:
                yield "…"
