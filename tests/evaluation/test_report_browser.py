"""The report in a browser without a network: no errors, and every tab, table and choice of the viewer works."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.files import read_json, write_json
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
const link = document.querySelector("#figure6_dice a.picture");
const picture = document.querySelector("#figure6_dice img").src;
return {
  shown, linked: document.getElementById("figure6_dice").offsetHeight > 0,
  download: link.href === picture ? link.download : "",
};
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
const form = place.querySelector("form");
const { subject, armA, armB, scannerA, scannerB, mode, view, slice, same, labels, divider } = form.elements;
// timers are of the browser's virtual time, which doesn't wait for a picture to be read; work takes real time
let worked = 0;
const work = () => { for (let i = 0; i < 3e6; i++) worked = (worked * 31 + i) % 1000003; };
const settle = async (expected) => {
  for (let wait = 0; !expected(said.textContent); wait++) {
    if (wait === 1000) throw new Error("the viewer still says: " + said.textContent);
    work();
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await new Promise((resolve) => setTimeout(resolve, 50));
};
const copy = document.createElement("canvas").getContext("2d", { willReadFrequently: true });
const hash = () => {
  copy.drawImage(canvas, 0, 0, 100, 100);
  const pixels = copy.getImageData(0, 0, 100, 100).data;
  let sum = 0;
  for (let i = 0; i < pixels.length; i++) sum = (sum * 31 + pixels[i]) % 1000000007;
  return sum;
};
const set = async (element, value, expected) => {
  element.value = value;
  // radio buttons come as a list
  (element instanceof RadioNodeList ? element[0] : element).dispatchEvent(new Event("input", { bubbles: true }));
  await settle(expected);
};
const tick = async (box, expected) => { box.click(); await settle(expected); };
await settle((text) => text.includes("axial"));
const seen = { pictures: {}, planes: {}, modes: {}, moves: [] };
for (const person of subject.options) for (const arm of armA.options) for (const scanner of scannerA.options) {
  subject.value = person.value;
  armA.value = arm.value;
  await set(scannerA, scanner.value, (text) =>
    text.startsWith("Subject " + person.value + "; A " + arm.text + ", " + scanner.value));
  seen.pictures[said.textContent.split("; ").slice(0, 2).join("; ")] = hash();
}
seen.follows = armB.value === armA.value && armB.disabled;
same.click();
await set(armB, armB.options[0].value, (text) => text.includes("B RAW"));
await set(scannerB, "GE", (text) => text.includes("B RAW, GE"));
for (const plane of ["coronal", "sagittal", "axial"]) {
  await set(view, plane, (text) => text.includes(plane));
  seen.planes[said.textContent.split("; ")[3]] = hash();
}
for (const shown of ["swipe", "difference", "beside"]) {
  await set(mode, shown, (text) => text.includes("; " + shown));
  seen.modes[shown] = hash();
}
await tick(labels, (text) => text.includes("with tissues"));
seen.modes.labels = hash();
await tick(labels, (text) => !text.includes("with tissues"));
seen.modes.without = hash();
for (const key of ["ArrowUp", "ArrowDown", "ArrowRight", "PageDown", "PageUp"]) {
  const before = said.textContent;
  canvas.dispatchEvent(new KeyboardEvent("keydown", { key }));
  await settle((text) => text !== before);
  seen.moves.push(said.textContent.split("; ").slice(1, 4).join("; "));
}
armB.value = armA.value;
await set(scannerB, scannerA.value, (text) => text.includes("mean difference 0.0"));
seen.itself = said.textContent;
document.dispatchEvent(new CustomEvent("person", { detail: "99" }));
await settle((text) => text.includes("99"));
seen.absent = said.textContent;
document.dispatchEvent(new CustomEvent("person", { detail: "01" }));
await settle((text) => text.startsWith("Subject 01"));
seen.person = subject.value;
return seen;
"""

PERSON = """
const select = document.getElementById("person");
const seen = { names: Array.from(select.options).map((option) => option.text) };
const rings = () => Array.from(document.querySelectorAll("#figure3_volumes .rings circle")).map((ring) => [
  parseFloat(ring.getAttribute("cx")) / 100, parseFloat(ring.getAttribute("cy")) / 100]);
for (const name of ["01", "02", ""]) {
  select.value = name;
  select.dispatchEvent(new Event("change"));
  seen["rings" + name] = rings();
}
return seen;
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
    # for the places of people's dots; its picture is replaced, as large ones outlast a browser's virtual time
    figures.draw_one(folder, "figure3_volumes")
    told = read_json(folder / "figures" / "figure3_volumes.json")
    for name in figures.names():
        a_picture(folder / "figures" / f"{name}.png")
    write_json(folder / "figures" / "figure3_volumes.json", told)
    # no scan stands out: a table without rows
    (folder / "tables" / "table_scans.md").write_text(
        "### Scans that stand out\n\n| Subject | z |\n| --- | --- |\n\nNone.\n"
    )
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
    assert seen["download"] == "figure6_dice.png"
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
    assert len(pictures) == 2 * 3 * 4
    there = {said: picture for said, picture in pictures.items() if not said.endswith("(no image)")}
    assert len(pictures) - len(there) == 3
    assert all("02" in said and "Prisma" in said for said in pictures if said not in there)
    assert len(set(there.values())) == len(there)
    assert seen["follows"]
    assert [name.split(" slice ")[0] for name in seen["planes"]] == ["coronal", "sagittal", "axial"]
    assert len(set(seen["planes"].values())) == 3
    modes = seen["modes"]
    assert len({modes["swipe"], modes["difference"], modes["beside"], modes["labels"]}) == 4
    assert modes["without"] == modes["beside"]
    slices = [int(move.split("slice ")[1].split(" of")[0]) for move in seen["moves"]]
    assert slices[0] == slices[1] + 1
    assert "B RAW, Philips" in seen["moves"][2]
    # from the last arm on to the first, and back
    assert seen["moves"][3].startswith("A RAW, ")
    assert seen["moves"][4].startswith("A MISPEL, ")
    assert "mean difference 0.0 % of the gray scale" in seen["itself"]
    assert seen["absent"].startswith("Subject 99 isn't among the people here; Subject 0")
    assert seen["person"] == "01"


def test_a_chosen_person_is_ringed_where_their_dots_are(page, tmp_path):
    seen = visit_quietly(page, PERSON, tmp_path)
    assert seen["names"] == ["everyone", "01", "02"]
    places = read_json(page.parent / "figures" / "figure3_volumes.json")["people"]
    for name in ("01", "02"):
        assert np.allclose(seen[f"rings{name}"], places[name], atol=1e-6)
    assert seen["rings"] == []


def test_nothing_sticks_out_at_either_width(page, tmp_path):
    seen = visit_quietly(page, WIDTHS, tmp_path)
    assert seen["wide"]
    assert seen["narrow"]
