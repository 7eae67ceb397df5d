"""Recognise links of a wiki page that show no text: those to files, categories and other languages."""

import re
from collections.abc import Collection

# What MediaWiki calls File and Image; a dump's head has a wiki's own name for each, but no alias of it.
_FILE = (
    "file|image|media|afbeelding|archivo|arquivo|attēls|bestand|berkas|bild|bilde|billede|dosiero|dosya|datei|datoteka|"
    "dosye|failas|fail|fails|fasciculus|fayl|fichier|ficheiro|ficheru|figura|fil|fișier|fișièr|fitxategi|fitxer|fájl|"
    "gambar|grafika|hình|imagem|imagen|imagine|imatge|imatze|imaxe|imej|immagine|immaxine|kép|kuva|larawan|lêer|mynd|"
    "obrázek|obrázok|pilt|plik|resim|restr|skedë|slika|skeudenn|soubor|súbor|tập tin|tiedosto|vaizdas|wêne|wobraz|"
    "şəkil|"
    "αρχείο|εικόνα|выява|датотека|зображення|изображение|картинка|податотека|слика|сурет|файл|ფაილი|სურათი|պատկեր|"
    "קובץ|תמונה|پرونده|تصویر|دوتنه|صورة|ملف|وێنە|चित्र|সচিত্র|চিত্র|படிமம்|ചിത്രം|దస్త్రం|ภาพ|ไฟล์|그림|파일|ファイル|画像|"
    "图像|圖像|文件|档案|檔案"
)
_CATEGORY = (
    "category|abdeeling|bólkur|catagóir|categori|categoria|categoría|categorîa|categorìa|categorie|catégorie|catègorie|"
    "categuria|catigurìa|class|flocc|flokkur|jamii|kaarangay|kateggoría|kategooria|kategori|kategoria|kategorî|"
    "kategorie|kategoriija|kategorija|kategorio|kategoriya|kategoriýa|kategoriye|kategory|kategorya|kategória|"
    "kateqoriya|katiguriya|klad|luokka|roinn-seòrsa|ronney|rummad|setensele|sokajy|sumut atassuseq|thể loại|turkum|"
    "κατηγορία|категорија|категория|категорія|катэгорыя|санат|төркем|ангилал|კატეგორია|կատեգորիա|קטגוריה|تصنيف|تۈر|رده|"
    "زمرہ|پۆل|श्रेणी|वर्ग|বিষয়শ্রেণী|பகுப்பு|വർഗ്ഗം|వర్గం|หมวดหมู่|분류|カテゴリ|分类|分類|ẹ̀ka"
)

_NOT_SHOWN = frozenset((*_FILE.split("|"), *_CATEGORY.split("|")))

_MEDIA = re.compile(
    r"\.(?:jpe?g|jpe|png|gif|svg|webp|tiff?|xcf|djvu|pdf|og[agv]|opus|flac|mp[34g]|mpeg|wav|midi?|web[ma]|stl)\s*\Z",
    re.IGNORECASE,
)
_LANGUAGE = re.compile(r"(?:[a-z]{2,3}(?:-[a-z]+)*|simple)")
_NO_LANGUAGE = frozenset(("doi", "hdl", "irc", "mw", "rfc", "voy", "wmf"))  # as short, but links to other sites


def is_shown(target: str, not_shown: Collection[str] = ()) -> bool:
    """Whether a link to this page stands in the running text: it leads to no file, category or other language.

    `not_shown` are more names of namespaces, in lower case: those that a dump's head tells.

    >>> [is_shown(target) for target in ("Dog", "Re:Zero", "doi:10.1/2", "Bild:Hund.jpg", "de:Hund", ":de:Hund")]
    [True, True, True, False, False, True]
    """
    prefix, colon, rest = target.partition(":")
    prefix = prefix.strip()
    if not colon or not prefix:
        return True
    if prefix.casefold() in _NOT_SHOWN or prefix.casefold() in not_shown or _MEDIA.search(rest[-8:]):
        return False
    return prefix in _NO_LANGUAGE or not _LANGUAGE.fullmatch(prefix)
