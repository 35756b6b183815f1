"""How long the first view of the hub's page takes in a throttled Chromium, and how many bytes.

usage: python benchmarks/hub_first_view.py URL [--repeat 7]

URL is that of a running hub with a station. Networks are throttled as in the developer tools of Chromium (CDP
Network.emulateNetworkConditions), the cache is empty, the screen is a phone's. Prints, for each network, the median
of the first paint of content and of the moment at which the latest events are shown, in ms since the request.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
from typing import Any

from playwright import sync_api

# Name -> latency in ms, bits per second. The first two are presets of the developer tools.
NETWORKS = {
    "fast 4G": (165.0, 9e6 * 0.9),
    "slow 4G (fast 3G)": (562.5, 1.6e6 * 0.9),
    "a slow Wi-Fi": (20.0, 5e6),
}
SHOWN = """() => {
    const look = () => {
        if (document.querySelector('.tile, .empty') && !window.shownAt) window.shownAt = performance.now();
        if (!window.shownAt) requestAnimationFrame(look);
    };
    look();
}"""


def view(browser: Any, url: str, latency_ms: float, bits: float) -> tuple[float, float, float]:
    """First paint, events shown (ms), bytes."""
    context = browser.new_context(viewport={"width": 390, "height": 844}, device_scale_factor=2)
    page = context.new_page()
    page.set_default_timeout(60_000)
    tool = context.new_cdp_session(page)
    tool.send("Network.enable")
    conditions = {"offline": False, "latency": latency_ms, "downloadThroughput": bits / 8, "uploadThroughput": bits / 8}
    tool.send("Network.emulateNetworkConditions", conditions)
    sizes: list[float] = []
    tool.on("Network.loadingFinished", lambda event: sizes.append(event["encodedDataLength"]))
    page.add_init_script(f"({SHOWN})()")
    page.goto(url, wait_until="commit")
    page.locator(".tile, .empty").first.wait_for()
    shown = page.evaluate("window.shownAt")
    paint = page.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    size = sum(sizes)
    context.close()
    return paint, shown, size


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("url")
    parser.add_argument("--repeat", type=int, default=7)
    given = parser.parse_args()
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))))
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        view(browser, given.url, 0, 1e9)
        for name, (latency_ms, bits) in NETWORKS.items():
            runs = [view(browser, given.url, latency_ms, bits) for _ in range(given.repeat)]
            paint, shown, size = (statistics.median(column) for column in zip(*runs, strict=True))
            print(f"{name}: first paint {paint:.0f} ms, events shown {shown:.0f} ms, {size / 1000:.0f} kB until then")
        browser.close()


if __name__ == "__main__":
    main()
