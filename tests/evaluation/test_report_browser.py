"""The report in a browser without a network: no errors, and every tab, table and choice of the viewer works."""

from __future__ import annotations

from pathlib import Path

import pytest

from evaluation import figures
from evaluation.report import render
from tests.support.browser import browser, visit
from tests.support.example_run import write_example_run
from tests.support.pictures import a_picture

pytestmark = [pytest.mark.slow, pytest.mark.browser]

TABS = """
const shown = {};
for (const box of document.querySelectorAll(".tabs")) {
  for (const button of box.querySelectorAll("[role=tab]")) {
    button.click();
    const panels = Array.from(box.querySelectorAll("[role=tabpanel]")).filter((panel) => panel.offsetHeight > 0);
    const images = panels.flatMap((panel) => Array.from(panel.querySelectorAll("img")));
    await Promise.all(images.map((image) => image.decode()));
    shown[button.textContent] = {
      panels: panels.length, height: panels[0].offsetHeight, images: images.map((image) => image.naturalWidth > 0),
    };
  }
}
location.hash = "#figure6_dice";
await new Promise((resolve) => setTimeout(resolve, 100));
return { shown, linked: document.getElementById("figure6_dice").offsetHeight > 0 };
"""

SORT = """
const table = document.querySelector("#summary table");
const column = () => Array.from(table.tBodies[0].rows).map((row) => row.cells[1].textContent);
const button = table.tHead.rows[0].cells[1].querySelector("button");
const seen = { orders: [column()] };
for (let click = 0; click < 3; click++) { button.click(); seen.orders.push(column()); }
return seen;
"""

VIEWER = """
const place = document.getElementById("viewer");
const canvas = place.querySelector("canvas");
const said = place.querySelector(".said");
const chosen = () => Array.from(place.querySelectorAll("input:checked + span")).map((span) => span.textContent);
const settle = async () => {
  for (let wait = 0; wait < 200 && !said.textContent.startsWith("Subject " + chosen().join(", ")); wait++)
    await new Promise((resolve) => setTimeout(resolve, 10));
};
const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const hash = () => {
  copy.drawImage(canvas, 0, 0, 100, 100);
  const pixels = copy.getImageData(0, 0, 100, 100).data;
  let sum = 0;
  for (let i = 0; i < pixels.length; i += 4) sum = (sum * 31 + pixels[i]) % 1000000007;
  return sum;
};
await settle();
const pictures = {};
const inputs = (choice) => Array.from(place.querySelectorAll('[data-choice="' + choice + '"] input'));
for (const subject of inputs("subject")) { subject.click();
  for (const method of inputs("method")) { method.click();
    for (const scanner of inputs("scanner")) {
      scanner.click(); await settle(); pictures[said.textContent] = hash(); } } }
for (const view of inputs("view")) { view.click(); await settle(); pictures[said.textContent] = hash(); }
const moves = [];
for (const key of ["ArrowRight", "ArrowDown", "ArrowLeft", "ArrowUp"]) {
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
  await settle();
  moves.push(said.textContent);
}
canvas.click();
await settle();
moves.push(said.textContent);
return { pictures, moves };
"""

WIDTHS = """
const wide = document.documentElement.scrollWidth <= document.documentElement.clientWidth;
const frame = document.createElement("iframe");
frame.style.width = "360px";
frame.srcdoc = "<!DOCTYPE html><html><head>" + document.head.innerHTML + "</head><body>" +
  document.querySelector("header").outerHTML + document.querySelector("main").outerHTML + "</body></html>";
document.body.append(frame);
await new Promise((resolve) => { frame.onload = resolve; });
const narrow = frame.contentDocument.documentElement;
return { wide, narrow: narrow.scrollWidth <= narrow.clientWidth };
"""


@pytest.fixture(scope="module")
def page(tmp_path_factory) -> Path:
    """The report of a run with every figure, a failed arm and a missing scan."""
    browser()
    folder = tmp_path_factory.mktemp("runs") / "example"
    write_example_run(folder, subjects=2, failed=["ravel"], missing=[("02", "Prisma")])
    for name in figures.names():
        a_picture(folder / "figures" / f"{name}.png")
    return render(folder)


def visit_quietly(page: Path, script: str, folder: Path) -> dict:
    """What the script saw, where nothing was fetched and no error was raised."""
    seen = visit(page, script, folder)
    assert (seen["troubles"], seen["fetched"], seen["console"]) == ([], [], [])
    return seen


def test_each_tab_shows_its_panel_alone(page, tmp_path):
    seen = visit_quietly(page, TABS, tmp_path)
    topics = {figures.about(figures.load(name))["topic"] for name in figures.names()}
    # the verdict's figure stands on the first screen, in no tab
    topics -= {"Verdict"}
    assert topics | {"SSIM between scanners"} <= set(seen["shown"])
    for tab, found in seen["shown"].items():
        assert found["panels"] == 1, tab
        assert found["height"] > 40, tab
        assert all(found["images"]), tab
        assert bool(found["images"]) == (tab in topics), tab
    assert seen["linked"], "a link to a figure in a hidden tab doesn't show it"


def test_tables_sort_by_number_and_back(page, tmp_path):
    orders = visit_quietly(page, SORT, tmp_path)["orders"]
    values = [float(text.split()[0]) for text in orders[1]]
    assert values == sorted(values)
    assert len(set(values)) > 1
    assert [float(text.split()[0]) for text in orders[2]] == values[::-1]
    assert orders[3] == orders[0]


def test_the_viewer_shows_every_scan_of_every_arm(page, tmp_path):
    seen = visit_quietly(page, VIEWER, tmp_path)
    pictures = seen["pictures"]
    assert len(pictures) == 2 * 3 * 4 + 4
    there = {said: picture for said, picture in pictures.items() if not said.endswith("no image")}
    assert len(pictures) - len(there) == 3
    assert all("02" in said and "Prisma" in said for said in pictures if said not in there)
    # slices of different scans differ, and none is black
    assert len(set(there.values())) == len(there)
    assert 0 not in there.values()
    last = "Subject 02, {}, {}, sagittal"
    assert seen["moves"] == [
        last.format("MISPEL", "GE"),
        last.format("RAW", "GE"),
        last.format("RAW", "Trio"),
        last.format("MISPEL", "Trio"),
        last.format("MISPEL", "GE"),
    ]


def test_nothing_sticks_out_at_either_width(page, tmp_path):
    seen = visit_quietly(page, WIDTHS, tmp_path)
    assert seen["wide"]
    assert seen["narrow"]
