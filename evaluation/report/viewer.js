"use strict";

/* Slices: two images of a person side by side, one swiped over the other, or their difference, on any slice of three
   planes, with the tissues' labels over them.  An image comes as one picture of its axial slices, the lowest first,
   in rows of `columns`; its pixels are read back into a volume, from which every slice is cut. */
const FULL_COLOR = 64; // gray levels of a difference that are shown in full color, a quarter of the scale
const LABEL_LEVEL = 80; // gray levels of a label
const PANE = 440; // wanted pixels of a pane's longer side
const GAP = 8;

async function readVolume(uri, shape, columns) {
  const picture = new Image();
  picture.src = uri;
  await picture.decode();
  const canvas = document.createElement("canvas");
  canvas.width = picture.naturalWidth;
  canvas.height = picture.naturalHeight;
  const context = canvas.getContext("2d", { willReadFrequently: true });
  context.drawImage(picture, 0, 0);
  const pixels = context.getImageData(0, 0, canvas.width, canvas.height).data;
  const [wide, deep, tall] = shape;
  const volume = new Uint8Array(wide * deep * tall);
  for (let z = 0, at = 0; z < tall; z++) {
    const left = (z % columns) * wide;
    const top = Math.floor(z / columns) * deep;
    for (let y = 0; y < deep; y++)
      for (let x = 0; x < wide; x++) volume[at++] = pixels[4 * ((top + deep - 1 - y) * canvas.width + left + x)];
  }
  return volume;
}

/* What a plane's slice is made of: how many there are, its size, and the voxel at a row and column. */
function planeOf(name, [wide, deep, tall]) {
  const place = (x, y, z) => (z * deep + y) * wide + x;
  return {
    axial: { count: tall, width: wide, height: deep, at: (slice, row, column) => place(column, deep - 1 - row, slice) },
    coronal: { count: deep, width: wide, height: tall, at: (slice, row, column) => place(column, slice, tall - 1 - row) },
    sagittal: { count: wide, width: deep, height: tall, at: (slice, row, column) => place(slice, column, tall - 1 - row) },
  }[name];
}

function cutSlice(volume, plane, slice) {
  const pixels = new Uint8Array(plane.width * plane.height);
  for (let row = 0, at = 0; row < plane.height; row++)
    for (let column = 0; column < plane.width; column++) pixels[at++] = volume[plane.at(slice, row, column)];
  return pixels;
}

function grays(pixels, labels, colors) {
  const shown = new Uint8ClampedArray(4 * pixels.length);
  pixels.forEach((gray, at) => {
    const label = labels ? Math.round(labels[at] / LABEL_LEVEL) : 0;
    for (let channel = 0; channel < 3; channel++)
      shown[4 * at + channel] = label ? 0.55 * gray + 0.45 * colors[label - 1][channel] : gray;
    shown[4 * at + 3] = 255;
  });
  return shown;
}

/* Red where the first image is brighter, blue where the second is, black where they agree. */
function differences(first, second) {
  const shown = new Uint8ClampedArray(4 * first.length);
  first.forEach((gray, at) => {
    const share = Math.max(-1, Math.min(1, (gray - second[at]) / FULL_COLOR));
    shown.set(share > 0 ? [255 * share, 90 * share, 60 * share, 255] : [-60 * share, -140 * share, -255 * share, 255], 4 * at);
  });
  return shown;
}

/* The mean absolute difference over the voxels of both brains, in percent of the gray scale. */
function meanDifference(first, second) {
  let sum = 0;
  let voxels = 0;
  first.forEach((gray, at) => {
    if (gray > 0 && second[at] > 0) {
      sum += Math.abs(gray - second[at]);
      voxels++;
    }
  });
  return voxels ? (100 * sum) / voxels / 255 : 0;
}

function viewer(place, data) {
  const canvas = place.querySelector("canvas");
  const said = place.querySelector(".said");
  const form = place.querySelector("form");
  const colors = data.tissues.map(([, color]) => [1, 3, 5].map((start) => parseInt(color.slice(start, start + 2), 16)));
  const volumes = new Map();
  const slices = {}; // by plane, the slice that is shown
  let divided = 0.5;
  let asked = 0;
  let absent = ""; // a person who was chosen at the top of the page and isn't here

  const fill = (name, entries, chosen) => {
    form.elements[name].append(...entries.map(([value, text], index) => new Option(text, value, index === chosen, index === chosen)));
  };
  const scanners = data.scanners.map((name) => [name, name]);
  fill("subject", data.subjects.map((name) => [name, name]), 0);
  fill("armA", data.arms, 0);
  fill("armB", data.arms, 0);
  fill("scannerA", scanners, 0);
  fill("scannerB", scanners, Math.min(1, scanners.length - 1));

  function volume(kind, key) {
    const person = data.people[form.elements.subject.value];
    const content = person[kind][key];
    if (content === undefined) return null;
    const name = [form.elements.subject.value, kind, key].join("/");
    if (!volumes.has(name)) {
      const uri = (kind === "images" ? "data:image/jpeg;base64," : "data:image/png;base64,") + content;
      volumes.set(name, readVolume(uri, person.shape, person.columns));
    }
    return volumes.get(name);
  }

  /* A small canvas with a slice's pixels, to be drawn larger. */
  function pictureOf(pixels, plane) {
    const picture = document.createElement("canvas");
    picture.width = plane.width;
    picture.height = plane.height;
    picture.getContext("2d").putImageData(new ImageData(pixels, plane.width, plane.height), 0, 0);
    return picture;
  }

  function write(context, text, left, top) {
    context.font = "15px system-ui, sans-serif";
    context.textBaseline = "top";
    context.strokeStyle = "#000";
    context.lineWidth = 3;
    context.strokeText(text, left, top);
    context.fillStyle = "#fff";
    context.fillText(text, left, top);
  }

  async function show() {
    const turn = ++asked;
    const { subject, armA, armB, scannerA, scannerB, mode, view, slice, same, labels } = form.elements;
    if (same.checked) armB.value = armA.value;
    armB.disabled = same.checked;
    const keys = [armA.value + "/" + scannerA.value, armB.value + "/" + scannerB.value];
    const names = [armA, armB].map((arm, side) => arm.selectedOptions[0].text + ", " + [scannerA, scannerB][side].value);
    const plane = planeOf(view.value, data.people[subject.value].shape);
    slice.max = plane.count - 1;
    slices[view.value] = Math.min(plane.count - 1, slices[view.value] ?? Math.floor(0.53 * plane.count));
    slice.value = slices[view.value];
    form.elements.divider.closest("label").hidden = mode.value !== "swipe";
    const found = await Promise.all(keys.map((key) => volume("images", key)));
    const tissues = await Promise.all(keys.map((key) => (labels.checked ? volume("labels", key) : null)));
    if (turn !== asked) return;

    const parts = found.map((image) => image && cutSlice(image, plane, slices[view.value]));
    const over = tissues.map((tissue) => tissue && cutSlice(tissue, plane, slices[view.value]));
    const pictures = parts.map((part, side) => part && pictureOf(grays(part, over[side], colors), plane));
    const zoom = Math.max(1, Math.round(PANE / Math.max(plane.width, plane.height)));
    const [width, height] = [plane.width * zoom, plane.height * zoom];
    const beside = mode.value === "beside";
    const stacked = beside && window.innerWidth < 600;
    canvas.width = beside && !stacked ? 2 * width + GAP : width;
    canvas.height = stacked ? 2 * height + GAP : height;
    canvas.style.maxWidth = canvas.width + "px";
    const context = canvas.getContext("2d");
    context.imageSmoothingQuality = "high";
    context.fillStyle = "#000";
    context.fillRect(0, 0, canvas.width, canvas.height);
    const draw = (picture, left, top, from = 0, to = 1) => {
      if (!picture) return;
      context.save();
      context.beginPath();
      context.rect(left + from * width, top, (to - from) * width, height);
      context.clip();
      context.drawImage(picture, left, top, width, height);
      context.restore();
    };
    if (beside) {
      const [left, top] = stacked ? [0, height + GAP] : [width + GAP, 0];
      draw(pictures[0], 0, 0);
      draw(pictures[1], left, top);
      write(context, "A: " + names[0], 6, 6);
      write(context, "B: " + names[1], left + 6, top + 6);
    } else if (mode.value === "swipe") {
      draw(pictures[0], 0, 0, 0, divided);
      draw(pictures[1], 0, 0, divided, 1);
      context.fillStyle = "#fff";
      context.fillRect(divided * width - 1, 0, 2, height);
      write(context, "A", 6, 6);
      write(context, "B", width - 18, 6);
    } else if (parts[0] && parts[1]) {
      draw(pictureOf(differences(parts[0], parts[1]), plane), 0, 0);
      write(context, "A − B", 6, 6);
    }
    write(context, view.value === "sagittal" ? "back" : "L", 6, height - 22);

    const told = ["Subject " + subject.value, "A " + names[0] + (found[0] ? "" : " (no image)"), "B " + names[1] + (found[1] ? "" : " (no image)")];
    if (absent) told.unshift("Subject " + absent + " isn't among the people here");
    told.push(view.value + " slice " + (slices[view.value] + 1) + " of " + plane.count);
    told.push(mode.value + (labels.checked ? " with tissues" : ""));
    if (found[0] && found[1]) told.push("mean difference " + meanDifference(found[0], found[1]).toFixed(1) + " % of the gray scale");
    said.textContent = told.join("; ");
    canvas.setAttribute("aria-label", said.textContent);
  }

  const step = (list, by) => {
    list.selectedIndex = (list.selectedIndex + by + list.length) % list.length;
    show();
  };
  const move = (by) => {
    const { view, slice } = form.elements;
    slices[view.value] = Math.max(0, Math.min(Number(slice.max), slices[view.value] + by));
    show();
  };
  const divide = (share) => {
    divided = Math.max(0, Math.min(1, share));
    form.elements.divider.value = divided;
    show();
  };
  form.addEventListener("input", (event) => {
    if (event.target.name === "subject") absent = "";
    if (event.target.name === "slice") slices[form.elements.view.value] = Number(event.target.value);
    if (event.target.name === "divider") divided = Number(event.target.value);
    show();
  });
  form.addEventListener("submit", (event) => event.preventDefault());
  canvas.addEventListener("pointermove", (event) => {
    if (form.elements.mode.value === "swipe") divide(event.offsetX / canvas.clientWidth);
  });
  canvas.addEventListener("wheel", (event) => {
    if (document.activeElement !== canvas) return; // else the page scrolls
    event.preventDefault();
    move(event.deltaY < 0 ? 1 : -1);
  }, { passive: false });
  canvas.addEventListener("keydown", (event) => {
    const moves = {
      ArrowUp: () => move(1),
      ArrowDown: () => move(-1),
      ArrowRight: () => step(form.elements.scannerB, 1),
      ArrowLeft: () => step(form.elements.scannerB, -1),
      PageDown: () => step(form.elements.armA, 1),
      PageUp: () => step(form.elements.armA, -1),
    };
    if (!moves[event.key]) return;
    moves[event.key]();
    event.preventDefault();
  });
  document.addEventListener("person", (event) => {
    absent = data.subjects.includes(event.detail) ? "" : event.detail;
    if (event.detail && !absent) form.elements.subject.value = event.detail;
    show();
  });
  window.addEventListener("resize", show);
  place.hidden = false;
  show();
}
