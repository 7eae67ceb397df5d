"""The picture at the top of the README is drawn from any lake that has subsets and images."""

import io

from PIL import Image

from commands.overview import HEIGHT, WIDTH, draw_overview
from resources.deployments import Deployment


def test_the_picture_is_wide_small_and_the_same_every_time(imaged: Deployment) -> None:
    picture = draw_overview(imaged)
    assert Image.open(io.BytesIO(picture)).size == (WIDTH, HEIGHT)
    assert len(picture) < 200_000
    assert draw_overview(imaged) == picture
