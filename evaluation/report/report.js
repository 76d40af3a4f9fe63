"use strict";

/* Tables: a click on a column's head sorts by it, numbers as numbers, what is missing last. */
function sortable(table) {
  const body = table.tBodies[0];
  if (!body) return; // a table without rows
  const order = Array.from(body.rows);
  const valueOf = (row, column) => {
    const text = row.cells[column] ? row.cells[column].textContent.trim() : "";
    const number = /^[-+\u2212]?\d[\d.]*(e[-+]?\d+)?/i.exec(text);
    return { text, number: number ? parseFloat(number[0].replace("\u2212", "-")) : null, missing: text === "" || text === "n/a" };
  };
  const compare = (a, b) =>
    a.number !== null && b.number !== null ? a.number - b.number : a.text.localeCompare(b.text, "en");
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const next = { none: "ascending", ascending: "descending", descending: "none" }[head.getAttribute("aria-sort") || "none"];
      for (const other of table.tHead.rows[0].cells) other.removeAttribute("aria-sort");
      const rows = order.map((row) => ({ row, value: valueOf(row, column) }));
      if (next !== "none") {
        head.setAttribute("aria-sort", next);
        const sign = next === "ascending" ? 1 : -1;
        rows.sort((a, b) => a.value.missing - b.value.missing || sign * compare(a.value, b.value));
      }
      body.append(...rows.map((entry) => entry.row));
    });
  });
}

/* Tabs: of a box's panels one is shown; a link to something in a hidden panel shows it.  Without this script
   all panels stand one after another, as they do in print. */
function tabs(box, number) {
  const panels = Array.from(box.children);
  const list = document.createElement("div");
  list.className = "tablist";
  list.setAttribute("role", "tablist");
  list.setAttribute("aria-label", box.dataset.label);
  const buttons = panels.map((panel, index) => {
    const button = document.createElement("button");
    button.type = "button";
    button.id = "tab-" + number + "-" + index;
    button.setAttribute("role", "tab");
    button.textContent = panel.dataset.tab;
    panel.setAttribute("role", "tabpanel");
    panel.setAttribute("aria-labelledby", button.id);
    button.addEventListener("click", () => choose(index));
    list.append(button);
    return button;
  });
  function choose(chosen) {
    panels.forEach((panel, index) => {
      panel.hidden = index !== chosen;
      buttons[index].setAttribute("aria-selected", String(index === chosen));
      buttons[index].tabIndex = index === chosen ? 0 : -1;
    });
  }
  list.addEventListener("keydown", (event) => {
    const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
    if (!step) return;
    const next = (buttons.indexOf(document.activeElement) + step + buttons.length) % buttons.length;
    choose(next);
    buttons[next].focus();
    event.preventDefault();
  });
  function follow() {
    const target = location.hash && document.getElementById(location.hash.slice(1));
    const index = panels.findIndex((panel) => target && panel.contains(target));
    if (index >= 0) {
      choose(index);
      target.scrollIntoView();
    }
  }
  window.addEventListener("hashchange", follow);
  box.prepend(list);
  box.classList.add("ready");
  choose(0);
  follow();
}

/* A picture's download is the picture that the page shows. */
for (const link of document.querySelectorAll("a.picture")) link.href = link.closest("figure").querySelector("img").src;
document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".tabs").forEach(tabs);
const viewerData = document.getElementById("viewer-data");
if (viewerData) viewer(document.getElementById("viewer"), JSON.parse(viewerData.textContent));
people(document.getElementById("person"), JSON.parse(document.getElementById("people-data").textContent));
