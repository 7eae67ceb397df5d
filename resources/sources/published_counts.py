"""Find the files of counts that somebody published, by path or URL, each with its digest."""

import hashlib
from pathlib import PurePath

import fsspec

from resources.deferred import Deferred
from resources.web.archives import is_web, open_archive

FILES_OF_FOLDER = "entry_counts*.json*"
"""As MetaCLIP's are called; with several languages, each has one."""


def find_counts(url: str, files_of_folder: str = FILES_OF_FOLDER) -> dict[str, Deferred]:
    """The file, or a folder's files of such names, by name; their versions are digests of their bytes.

    Raises FileNotFoundError if there is none, ValueError if it is on the web, where nobody is told of a change.
    """
    if is_web(url):
        raise ValueError(f"{url}: counts are not read from the web; download the file and name it here")
    filesystem, path = fsspec.core.url_to_fs(url)
    is_folder = filesystem.isdir(path)
    paths = sorted(filesystem.glob(f"{path.rstrip('/')}/{files_of_folder}")) if is_folder else [path]
    if not paths or not filesystem.exists(paths[0]):
        lacks = f"the folder has no {files_of_folder}" if is_folder else "there is no such file of counts"
        raise FileNotFoundError(f"{url}: {lacks}; name a JSON or Parquet file, or a folder of them, one a language")
    files = {}
    for path_of_file in paths:
        with filesystem.open(path_of_file, "rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        url_of_file = filesystem.unstrip_protocol(path_of_file)
        files[PurePath(path_of_file).name] = Deferred(open_archive, (url_of_file,), declared=f"counts {digest}")
    return files
