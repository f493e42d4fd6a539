"""Writes the pages that are made from the code: ``python -m docs.make_reference``; a test fails
when one is stale."""

from pathlib import Path

from docs.pages import PAGES

FOLDER = Path(__file__).parent


def main() -> None:
    for name, page in PAGES.items():
        file = FOLDER / name
        file.parent.mkdir(exist_ok=True)
        file.write_text(page(), encoding="utf-8")


if __name__ == "__main__":
    main()
