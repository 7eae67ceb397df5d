"""Which of our language codes a label of an identification model means: `eng_Latn` is `en`."""

from metaclip_dagster.schemas import named
from metaclip_dagster.words.languages import identification_code

_ISO_639_3 = """
af:afr am:amh an:arg as:asm av:ava az:aze,azj ba:bak be:bel bg:bul bh:bho bn:ben bo:bod br:bre bs:bos ca:cat ce:che
co:cos cs:ces cv:chv cy:cym da:dan de:deu dv:div el:ell eml:egl,rgn en:eng eo:epo es:spa et:est,ekk eu:eus
fa:fas,pes,prs fi:fin fr:fra fy:fry ga:gle gd:gla gl:glg gn:grn,gug gu:guj gv:glv he:heb hi:hin hr:hrv ht:hat hu:hun
hy:hye ia:ina id:ind ie:ile io:ido is:isl it:ita ja:jpn jv:jav ka:kat kk:kaz km:khm kn:kan ko:kor ku:kur,kmr
kv:kom,kpv kw:cor ky:kir la:lat lb:ltz li:lim lo:lao lt:lit lv:lav,lvs mg:mlg,plt mk:mkd ml:mal mn:mon,khk mr:mar
ms:msa,zsm mt:mlt my:mya nah:azz,nch,nci,ncj,nhe,nhi,nhw ne:nep,npi nl:nld nn:nno no:nor,nob oc:oci or:ori,ory os:oss
pa:pan pl:pol ps:pus,pbt,pbu pt:por qu:que,quy,quz rm:roh ro:ron ru:rus sa:san sc:srd,src,sro sd:snd sh:hbs si:sin
sk:slk sl:slv so:som sq:sqi,als sr:srp su:sun sv:swe sw:swa,swh ta:tam te:tel tg:tgk th:tha tk:tuk tl:tgl,fil tr:tur
tt:tat ug:uig uk:ukr ur:urd uz:uzb,uzn vi:vie vo:vol wa:wln yi:yid,ydd yo:yor zh:zho,cmn,lzh als:gsw
ar:ara,arb,acm,acq,aeb,afb,ajp,apc,apd,arq,ars,ary
"""
"""ISO 639-3 codes of each language whose own code is another, those of its macrolanguage's members among them."""

_CODES = {of: code for code, _, codes in (it.partition(":") for it in _ISO_639_3.split()) for of in codes.split(",")}


@named("words:code_of_label")
def code_of_label(label: str) -> str:
    """The language code that a label means, whatever script it adds and in whatever case; `und` if it is empty.

    One that is none of ours stays as it is, in lower case.

    With a script it is ISO 639-3, as in GlotLID and OpenLID, where `als` is Tosk Albanian; alone it is first of all
    fastText's code, where `als` is Alemannic.

    >>> [code_of_label(label) for label in ("eng_Latn", "arb_Arab", "als_Latn", "als", "DEU", "hak_Hani", "zxx_Zzzz")]
    ['en', 'ar', 'sq', 'als', 'de', 'hak', 'zxx']
    """
    code, _, script = label.lower().replace("-", "_").partition("_")
    iso = _CODES.get(code)
    return (iso if script else None) or identification_code(code) or iso or code or "und"
