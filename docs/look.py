"""The built site in a browser, as wide as a desktop's and a phone's: pictures of all pages, and what leaves the screen.

    pip install playwright && python docs/look.py pictures/ [--browser /usr/bin/chromium]

Ends with 1 where something is wider than the screen without scrolling, or is asked for beyond the site.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from playwright.sync_api import sync_playwright

SITE = Path(__file__).parent / "_build" / "html"
SCREENS = {"desktop": (1440, 900), "phone": (390, 844)}
BEYOND = """() => [...document.querySelectorAll('article *')].filter(e => {
    const box = e.getBoundingClientRect();
    if (!box.width || box.right <= document.documentElement.clientWidth + 1) return false;
    for (let p = e.parentElement; p.tagName != 'ARTICLE'; p = p.parentElement)
        if (['auto', 'scroll', 'hidden'].includes(getComputedStyle(p).overflowX)) return false;
    return true;
}).map(e => e.tagName + ' ' + e.textContent.slice(0, 40))"""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--browser", default="/usr/bin/chromium")
    parser.add_argument("--dark", action="store_true")
    options = parser.parse_args()
    options.folder.mkdir(exist_ok=True)
    pages = sorted(page for page in SITE.rglob("*.html") if "_static" not in page.parts)
    found: list[str] = []
    asked: list[str] = []
    with sync_playwright() as player:
        browser = player.chromium.launch(executable_path=options.browser, args=["--no-sandbox"])
        for screen, (width, height) in SCREENS.items():
            tab = browser.new_page(
                viewport={"width": width, "height": height},
                is_mobile=screen == "phone",
                color_scheme="dark" if options.dark else "light",
            )
            tab.on("request", lambda request: asked.append(request.url))
            for page in pages:
                tab.goto(page.as_uri())
                name = page.relative_to(SITE).with_suffix("").as_posix()
                found += [f"{screen}, {name}: {what}" for what in tab.evaluate(BEYOND)]
                tab.screenshot(path=options.folder / f"{screen}-{name.replace('/', '-')}.png", full_page=True)
        browser.close()
    found += [url for url in asked if not url.startswith(("file:", "data:"))]
    print(*found, f"{len(pages)} pages, {len(found)} found", sep="\n")
    return bool(found)


if __name__ == "__main__":
    raise SystemExit(main())
