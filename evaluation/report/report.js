"use strict";

/* Tables: a click on a column's head sorts by it, numbers as numbers, what is missing last. */
function sortable(table) {
  const body = table.tBodies[0];
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

/* Slices: sprites of one person and arm, a column a scanner, a row a view. */
function slices(place, data) {
  const canvas = place.querySelector("canvas");
  const said = place.querySelector(".said");
  const [height, width] = data.cell;
  const zoom = Math.max(1, Math.ceil(480 / width));
  canvas.width = width * zoom;
  canvas.height = height * zoom;
  const loaded = new Map();
  const chosen = { subject: 0, method: 0, scanner: 0, view: Math.min(1, data.views.length - 1) };
  const names = {
    subject: data.subjects,
    method: data.arms.map((method) => method[1]),
    scanner: data.scanners,
    view: data.views,
  };

  function sprite(key) {
    if (!loaded.has(key)) {
      const image = new Image();
      image.src = "data:image/jpeg;base64," + data.sprites[key];
      loaded.set(key, image.decode().then(() => image));
    }
    return loaded.get(key);
  }

  async function show() {
    const subject = data.subjects[chosen.subject];
    const method = data.arms[chosen.method][0];
    const scanner = data.scanners[chosen.scanner];
    const key = subject + "/" + method;
    const asked = JSON.stringify(chosen);
    const missing = data.missing.includes(key + "/" + scanner);
    const image = missing ? null : await sprite(key);
    if (asked !== JSON.stringify(chosen)) return;
    const context = canvas.getContext("2d");
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    if (image) {
      context.imageSmoothingQuality = "high";
      context.drawImage(image, chosen.scanner * width, chosen.view * height, width, height, 0, 0, canvas.width, canvas.height);
    }
    const what = ["Subject " + subject, names.method[chosen.method], scanner, data.views[chosen.view]].join(", ");
    said.textContent = missing ? what + ": no image" : what;
    canvas.setAttribute("aria-label", said.textContent);
  }

  for (const set of place.querySelectorAll("fieldset")) {
    const choice = set.dataset.choice;
    names[choice].forEach((name, index) => {
      const label = document.createElement("label");
      const input = document.createElement("input");
      const span = document.createElement("span");
      input.type = "radio";
      input.name = choice;
      input.checked = index === chosen[choice];
      span.textContent = name;
      label.append(input, span);
      set.append(label);
      input.addEventListener("change", () => {
        chosen[choice] = index;
        show();
      });
    });
  }
  function step(choice, by) {
    const inputs = place.querySelectorAll('[data-choice="' + choice + '"] input');
    inputs[(chosen[choice] + by + inputs.length) % inputs.length].click();
  }
  canvas.addEventListener("click", () => step("scanner", 1));
  canvas.addEventListener("keydown", (event) => {
    const moves = { ArrowRight: ["scanner", 1], ArrowLeft: ["scanner", -1], ArrowDown: ["method", 1], ArrowUp: ["method", -1] };
    if (!moves[event.key]) return;
    step(...moves[event.key]);
    event.preventDefault();
  });
  place.hidden = false;
  show();
}

document.querySelectorAll("table.sortable").forEach(sortable);
document.querySelectorAll(".tabs").forEach(tabs);
const viewerData = document.getElementById("viewer-data");
if (viewerData) slices(document.getElementById("viewer"), JSON.parse(viewerData.textContent));
