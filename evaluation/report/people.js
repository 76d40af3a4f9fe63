"use strict";

/* One person in every figure: rings around the person's points, whose places, as shares of a picture's width and
   height, come by figure and person; the viewer of slices follows. */
function people(select, places) {
  const show = () => {
    for (const [figure, byPerson] of Object.entries(places)) {
      const overlay = document.querySelector("#" + figure + " .rings");
      overlay.replaceChildren(
        ...(byPerson[select.value] || []).map(([across, down]) => {
          const ring = document.createElementNS("http://www.w3.org/2000/svg", "circle");
          ring.setAttribute("cx", 100 * across + "%");
          ring.setAttribute("cy", 100 * down + "%");
          ring.setAttribute("r", "6");
          return ring;
        }),
      );
    }
    document.dispatchEvent(new CustomEvent("person", { detail: select.value }));
  };
  select.addEventListener("change", show);
  select.closest("label").hidden = false;
}
