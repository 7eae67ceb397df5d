"""Laws of every page's template, of those too that are yet to be written."""

import re
from pathlib import Path

import pytest

from resources.deployments import REPOSITORY

TEMPLATES = sorted(Path(REPOSITORY, "metaclip_dagster").rglob("*.html"))
FIGURE = re.compile(r"<figure\b.*?</figure>", re.DOTALL)
GALLERY = re.compile(r'<ul class="gallery.*?</ul>', re.DOTALL)
"""Pictures of a crawl: the text of each stands beneath it."""


@pytest.mark.parametrize("template", TEMPLATES, ids=lambda path: path.name)
def test_every_plot_stands_in_a_figure_with_its_caption_and_every_picture_has_a_text(template: Path) -> None:
    text = template.read_text(encoding="utf-8")
    for figure in FIGURE.findall(text):
        assert "<figcaption" in figure, f"{template}: say in a <figcaption> what to see in {figure[:60]}"
    apart = GALLERY.sub("", FIGURE.sub("", text))
    assert "<img" not in apart, f"{template}: put the picture into `figure` or `gallery` of macros.html"
    for image in re.findall(r"<img\b[^>]*>", text):
        assert " alt=" in image, f"{template}: say in its alt= what is seen in {image[:60]}"
