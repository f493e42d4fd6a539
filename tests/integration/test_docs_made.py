"""The scripts that draw tables and pictures of the documentation still run to their end."""

import os
import re
import shutil
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from docs import make_canary, make_experiments, make_flower, make_recording, make_screenshots

PNG = b"\x89PNG\r\n\x1a\n"
#: Enough for every page to have something to show.
BRIEF = make_screenshots.Simulation(documents=300, stage_minutes=0.03, observed_seconds=3, cooks=60)
FIRST_CELL = re.compile(r"^\| ([^|]+?) \|", re.MULTILINE)


@pytest.mark.parametrize(
    ("page", "draw"),
    [
        (make_canary.PAGE, lambda file: make_canary.main(file, runs=1)),
        (make_experiments.PAGE, lambda file: make_experiments.main(file, runs=4, courses=1)),
    ],
    ids=["canary", "experiments"],
)
def test_simulated_tables_are_drawn_into_a_page_and_have_the_rows_that_the_page_shows(
    tmp_path, page, draw
):
    drawn = Path(shutil.copy(page, tmp_path))
    draw(drawn)
    before, after = (file.read_text(encoding="utf-8") for file in (page, drawn))
    assert after != before
    assert FIRST_CELL.findall(after) == FIRST_CELL.findall(before)
    assert re.sub(r"^\|.*\n", "", after, flags=re.MULTILINE) == re.sub(
        r"^\|.*\n", "", before, flags=re.MULTILINE
    )


def test_a_terminal_is_recorded_as_a_picture(tmp_path):
    picture = tmp_path / "images" / "help.svg"
    environment = dict(os.environ)
    make_recording.main(picture, ["rollouts", "--help"])
    assert os.environ == environment
    shown = ET.parse(picture).iter("{http://www.w3.org/2000/svg}text")  # noqa: S314 - made here
    assert any("rollouts" in (line.text or "") for line in shown)


@pytest.mark.timeout(600)
def test_flower_is_photographed(tmp_path):
    picture = tmp_path / "flower.png"
    make_flower.main(picture)
    assert picture.read_bytes().startswith(PNG)


@pytest.mark.timeout(600)
def test_every_page_in_the_documentation_is_photographed(tmp_path):
    make_screenshots.main(tmp_path, BRIEF)
    made = {file.name for file in tmp_path.glob("page-*.png")}
    assert made == {file.name for file in make_screenshots.IMAGES.glob("page-*.png")}
    assert all((tmp_path / name).read_bytes().startswith(PNG) for name in made)
