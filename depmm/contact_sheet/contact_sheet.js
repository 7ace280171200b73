"use strict";
(() => {
  const entries = [...document.querySelectorAll(".entry")];
  const buttons = [...document.querySelectorAll("button[data-kind]")];
  const text = document.getElementById("text");
  const corpus = document.getElementById("corpus");
  const count = document.getElementById("count");

  function show() {
    const kinds = buttons
      .filter(button => button.getAttribute("aria-pressed") === "true")
      .map(button => button.dataset.kind);
    const part = text.value.trim().toLowerCase();
    let shown = 0;
    for (const entry of entries) {
      const own = entry.dataset.kinds.split(" ");
      const visible =
        (!kinds.length || kinds.some(kind => own.includes(kind))) &&
        (!corpus || !corpus.value || corpus.value === entry.dataset.corpus) &&
        entry.dataset.id.includes(part);
      entry.hidden = !visible;
      shown += visible;
    }
    count.textContent = `${shown} of ${entries.length} sessions shown`;
  }

  for (const button of buttons) {
    button.addEventListener("click", () => {
      const pressed = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!pressed));
      show();
    });
  }
  text.addEventListener("input", show);
  if (corpus) corpus.addEventListener("change", show);
})();
