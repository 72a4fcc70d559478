"""The picture of a report page for the README: its first screen, as a small PNG.

python -m benchmarks.report_picture report.html docs/report.png
"""

import shutil
from pathlib import Path

import click


@click.command()
@click.argument("page", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("picture", type=click.Path(dir_okay=False, path_type=Path))
@click.option("--width", default=1280, help="Width of the browser window in CSS pixels.")
@click.option("--height", default=900, help="Height of the browser window in CSS pixels.")
def main(page: Path, picture: Path, width: int, height: int) -> None:
    """Open PAGE in chromium, and write what its window shows to PICTURE."""
    from playwright.sync_api import sync_playwright

    browser_path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if browser_path is None:
        raise click.ClickException("No chromium is installed. Install it with your system's package manager.")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path, args=["--headless", "--no-sandbox"])
        window = browser.new_page(viewport={"width": width, "height": height})
        window.goto(page.resolve().as_uri())
        window.screenshot(path=picture)
        browser.close()
    click.echo(f"{picture}: {picture.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
