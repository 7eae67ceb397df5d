"""List the verbs of `metaclip`: what each does, what it takes, and an example of it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

Argument = tuple[tuple[str, ...], dict[str, Any]]
"""Names and options of argparse's add_argument."""


@dataclass(frozen=True)
class Verb:
    """What stands behind a word of the command line: the module of that name in this package."""

    does: str
    example: str = ""
    """What follows `metaclip`, as somebody would type it."""
    arguments: Sequence[Argument] = ()
    parts: Mapping[str, "Verb"] = field(default_factory=dict)
    """What the verb is asked for, each with arguments of its own."""
    stopped: str = "run it again to go on"
    """What Ctrl-C leaves behind, and the way on."""


def _argument(*names: str, **options: Any) -> Argument:
    return names, options


def _flag(name: str, does: str) -> Argument:
    return _argument(name, action="store_true", help=does)


def _day(name: str, which: str) -> Argument:
    return _argument(name, type=date.fromisoformat, required=True, metavar="DATE", help=which)


LAUNCHED = "what was launched goes on: stop it in the UI"

BESIDE = _argument(
    "--beside",
    type=Path,
    metavar="FILE",
    help="explore.json of another deployment, whose pool is to stand beside this one",
)
COMPARED = (
    "pool; a t, as 20 or inf; a snapshot of the pool, as CC-MAIN-2025-47; counts that others published, as counts.json "
    "(JSON of entry and count, Parquet, or a folder of such, one a language); another deployment's home or lake, as "
    "/data/sample, or of it /data/sample:20; entries, their build before, as entries@before, or "
    "/data/sample:entries"
)
FIRST = _argument("first", metavar="A", help=COMPARED)
SECOND = _argument(
    "second",
    nargs="?",
    metavar="B",
    help="the like; without it A is set beside the pool, and entries beside their build before",
)
DAYS = _argument("--days", type=int, default=25, metavar="N", help="how many; default 25")
DUMP_DAY = _argument("day", metavar="DAY", help="of the dump, as in 20261101")
ENTRY = _argument("entry", metavar="ENTRY", help="as it stands in the metadata: case counts")
FOLDER = _argument("folder", type=Path, metavar="FOLDER", help="where to; it must not be there yet")
FOLDER_OR_URL = _argument(
    "folder", metavar="FOLDER", help="where to, or an fsspec URL as s3://bucket/set; nothing may be there yet"
)
IMAGES = _argument("--images-per-tar", type=int, default=10_000, metavar="N", help="default 10,000")
KEYS = _argument("keys", nargs="+", metavar="KEY", help="an id of collinfo.json, or pool-NAME of pools.json")
LICENSE = _argument(
    "--license", action="append", metavar="PATTERN", help="only pairs whose licence fits, as 'CC-BY*'; may be repeated"
)
LIMIT = _argument("--limit", type=int, default=20, metavar="N", help="pairs shown, and places of each; default 20")
MODEL = _argument("model", metavar="MODEL", help="a model of the deployment")
MODELS = _argument("--model", action="append", metavar="MODEL", help="one model; may be repeated")
NO_WAIT = _flag("--no-wait", "launch it and leave")
OLDER = "default 24; no run that goes on may have begun before"
OLDER_THAN = _argument("--older-than-hours", type=float, default=24.0, metavar="HOURS", help=OLDER)
PAIR = _argument(
    "pair", metavar="URL_OR_ID", help="the image's URL, a pair_id, or an image_id of 24 hexadecimal digits"
)
POOL_KEYS = _argument("keys", nargs="+", metavar="KEY", help="a key of the pool")
REQUEST = _argument("file", type=Path, metavar="FILE", help="as docs/takedown-request.csv, from a spreadsheet too")
REQUEST_ID = _argument("--id", metavar="ID", help="of the request, on its receipt; default the day with a number")
ROOT = _argument("--root", metavar="URL", help="a mirror to take it from")
PRIVATE = _flag("--private", "with --to: a repository that is made is private")
BY_IMAGE = _argument("--image", type=Path, metavar="FILE", help="a picture to search by, instead of a text")
BY_TEXT = _argument("text", nargs="?", default="", metavar="TEXT", help="what the images are to show, in a few words")
MOST_FOUND = _argument(
    "--limit", type=int, default=20, metavar="N", help="how many images are shown, at most 100; default 20"
)
ONE_MODEL = _argument("--model", metavar="MODEL", help="one that was trained on the set; default the first")
SEED = _argument("--seed", type=int, default=0, metavar="N", help="which are drawn; default 0")
SETS = _argument("--t", action="append", metavar="SET", help="a training set: 20, online-20, mix-NAME; may be repeated")
FILTERS = _argument(
    "--filters", action="append", metavar="NAME", help="of METACLIP_FILTERS: each --t by them; may be repeated"
)
COST_ONLY = _flag("--predict", "only say what it would cost")
SHARE = _argument("--share", type=float, metavar="SHARE", help="of its files; 1 is all, also where a part is made")
SNAPSHOT = _argument("key", metavar="SNAPSHOT", help="a snapshot that the crawl lists, made or not")
SNAPSHOT_OF_POOL = _argument("key", metavar="SNAPSHOT", help="a snapshot of the pool")
T = _argument("t", metavar="T", help="a t of the deployment, as in METACLIP_THRESHOLDS")
ANY_T = _argument("t", metavar="T", help="a rung or any other number, or inf")
A_SET = _argument(
    "t", metavar="SET", help="a t, a t by filters of METACLIP_FILTERS as 20-clip28, or mix-NAME of mixtures.json"
)
TS = _argument("t", nargs="+", metavar="T", help="a t of the deployment, each a config of the dataset")
TEXT = _argument("--text", metavar="TEXT", help="with a URL: the pair of exactly this text")
TO = _argument("--to", default="", metavar="hub:ORG/NAME", help="where to upload it, too; by default it stays a folder")
TRAINING_SET_SEARCHED = _argument("training_set", metavar="SET", help="a training set, as 20 or online-20")
TRAINING_SET = _argument("training_set", metavar="SET", help="what it was trained on, as 20 or online-20")

DEMO = [
    _flag("--quick", "a few pages of it, in about a minute"),
    _flag("--no-training", "end with the data cards"),
    _flag("--worldwide", "all eleven languages, and a model of all beside one of English alone"),
]
DRY_RUN = _flag("--dry-run", "say what would go, and change nothing")
PAGEVIEWS = [_day("--first", "first day"), _day("--last", "last day"), DAYS, SEED, ROOT]

DOWNLOAD = {
    "wordnet": Verb("fetch nltk's package of WordNet 3.0", "download wordnet", [ROOT]),
    "dump": Verb(
        "fetch the Wikipedia of each of METACLIP_LANGUAGES without a list in METACLIP_LISTS",
        "download dump 20261101",
        [DUMP_DAY, ROOT],
    ),
    "pageviews": Verb(
        "fetch hourly views of Wikipedia on days that are drawn at random",
        "download pageviews --first 2021-11-01 --last 2026-10-31",
        PAGEVIEWS,
    ),
}
EXPLAIN = {
    "pair": Verb(
        "say why a pair is kept, and at which t",
        "explain pair http://noto-emoji.example/img/1f695.webp --text taxi",
        [PAIR, TEXT, LIMIT],
    ),
    "entry": Verb("say who matches an entry", "explain entry cat", [ENTRY, LIMIT]),
}
PREDICT = {
    "snapshot": Verb(
        "say what curating a snapshot, or a share of it, will cost",
        "predict snapshot CC-MAIN-2025-47 --share 1",
        [SNAPSHOT, SHARE],
    ),
    "t": Verb("say what a t will cost, from its subset to scores", "predict t 50", [ANY_T]),
}
EXPORT = {
    "counts": Verb(
        "write how many pairs match each entry, in the pool and in D(t): Parquet, and MetaCLIP's JSON",
        "export counts 20 FOLDER",
        [T, FOLDER],
    ),
    "subset": Verb(
        "write the Parquet files of D(t), for img2dataset, datasets or DuckDB",
        "export subset 20 FOLDER",
        [T, FOLDER, LICENSE],
    ),
    "training-set": Verb(
        "write the training set of D(t) as WebDataset: tars of image, .txt and .json",
        "export training-set 20 FOLDER",
        [A_SET, FOLDER_OR_URL, IMAGES],
    ),
    "model": Verb(
        "write a trained model for open_clip and, where it has the architecture, transformers",
        "export model 20 tiny FOLDER",
        [TRAINING_SET, MODEL, FOLDER],
    ),
}
PUBLISH = {
    "dataset": Verb(
        "write each D(t) into the folder of a dataset repository, with its documents",
        "publish dataset 20 100 --to hub:ORG/NAME",
        [TS, TO, PRIVATE],
    ),
    "lists": Verb(
        "write the entries of every language into the folder of a dataset repository, making first what is missing",
        "publish lists --to hub:ORG/NAME",
        [TO, PRIVATE],
    ),
    "model": Verb(
        "write a trained model into the folder of a model repository, with its card",
        "publish model 20 tiny --to hub:ORG/NAME",
        [TRAINING_SET, MODEL, TO, PRIVATE],
    ),
}
LAKE = {
    "home": Verb("print the deployment's DAGSTER_HOME", "lake home"),
    "probe": Verb("write an object twice: the store must refuse the second", "lake probe"),
    "tidy": Verb("delete superseded files, and what killed writers left", "lake tidy", [OLDER_THAN]),
    "check-images": Verb("read all tars of the image store for what has changed", "lake check-images"),
}

GROUPS: dict[str, dict[str, Verb]] = {
    "Begin": {
        "demo": Verb("run the whole job on the sample: two snapshots, every t, one model", "demo --quick", DEMO),
        "ui": Verb("serve Dagster and the reports on this machine until Ctrl-C", "ui"),
    },
    "Bring in": {
        "download": Verb("fetch what the metadata is made of", parts=DOWNLOAD),
        "register": Verb("put snapshots, older ones and pools too, into the pool", "register CC-MAIN-2025-47", [KEYS]),
        "drop": Verb("take keys, wrong ones too, out of the pool; tables stay", "drop SAMPLE-2026-03", [POOL_KEYS]),
    },
    "Make, by a running `metaclip ui`": {
        "sweep": Verb(
            "train and score training sets, and report: from images to the sweep over t and the concept report",
            "sweep --t 20 --t inf --model tiny",
            [SETS, FILTERS, MODELS, COST_ONLY, NO_WAIT],
            stopped=LAUNCHED,
        ),
        "rung": Verb("make a t that was added to METACLIP_THRESHOLDS", "rung 50", [T, NO_WAIT], stopped=LAUNCHED),
        "rerun": Verb(
            "make a snapshot again, and all that follows from it",
            "rerun SAMPLE-2026-01",
            [SNAPSHOT_OF_POOL, NO_WAIT],
            stopped=LAUNCHED,
        ),
    },
    "Ask": {
        "explain": Verb("say why a pair is kept, or who matches an entry", parts=EXPLAIN),
        "compare": Verb(
            "set any two pools, t, snapshots, deployments, published counts or builds of entries side by side",
            "compare 20 100",
            [FIRST, SECOND],
        ),
        "explore": Verb(
            "write a page with a slider over t: what each t keeps, fetches and costs, and every entry",
            "explore",
            [BESIDE],
        ),
        "search": Verb(
            "find images of a training set by a text or a picture, with its own model, as a table and a page",
            'search 20 "a red bicycle"',
            [TRAINING_SET_SEARCHED, BY_TEXT, BY_IMAGE, ONE_MODEL, MOST_FOUND],
        ),
        "predict": Verb("say what a snapshot or a t will cost, beside what it took", parts=PREDICT),
    },
    "Hand on, take down": {
        "export": Verb("write a folder for other tools", parts=EXPORT),
        "publish": Verb("write a folder that is a repository for others, and upload it", parts=PUBLISH),
        "takedown": Verb(
            "add somebody's request, a CSV file of kind and value, to the list of takedowns",
            "takedown request.csv --id letter-7",
            [REQUEST, REQUEST_ID],
        ),
        "purge": Verb("delete from the disk what the list of takedowns names", "purge --dry-run", [DRY_RUN]),
    },
    "Look after what is stored": {"lake": Verb("find, probe, tidy and check the lake and the images", parts=LAKE)},
}
