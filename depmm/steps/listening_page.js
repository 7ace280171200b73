"use strict";
(() => {
  const HEADER = ["recording", "participant", "recording_sha256", "turns_sha256"];
  const FILE = "participants.csv";
  const all = (selector, root = document) => [...root.querySelectorAll(selector)];
  const sections = all(".recording");
  const player = new Audio();
  let queue = [];
  let current = null;

  function stop() {
    player.pause();
    if (current) current.classList.remove("playing");
    current = null;
  }

  function playNext() {
    stop();
    current = queue.shift() || null;
    if (!current) return;
    current.classList.add("playing");
    player.src = current.dataset.sound;
    player.play().catch(() => { queue = []; stop(); });
  }

  player.addEventListener("ended", playNext);

  function start(buttons, again) {
    const isPlaying = again && current !== null;
    queue = [];
    if (isPlaying) { stop(); return; }
    queue = buttons;
    playNext();
  }

  all(".play").forEach((button) => {
    button.addEventListener("click", () => start([button], current === button));
  });
  all(".play-all").forEach((button) => {
    const excerpts = all(".play", button.closest(".excerpts"));
    button.addEventListener("click", () => start([...excerpts], excerpts.includes(current)));
  });

  function chosen(section) {
    const button = section.querySelector('.choose[aria-pressed="true"]');
    return button ? button.dataset.speaker : null;
  }

  function quote(text) {
    return /[",\r\n]/.test(text) ? '"' + text.replaceAll('"', '""') + '"' : text;
  }

  function choicesCsv() {
    const rows = sections.filter(chosen).map((section) => [
      section.dataset.recording, chosen(section), section.dataset.file, section.dataset.turns,
    ]);
    return [HEADER, ...rows].map((row) => row.map(quote).join(",") + "\n").join("");
  }

  function show() {
    const count = sections.filter(chosen).length;
    document.getElementById("count").textContent = `${count} of ${sections.length} chosen`;
    document.getElementById("save").disabled = count === 0;
  }

  all(".choose").forEach((button) => {
    button.addEventListener("click", () => {
      const section = button.closest(".recording");
      const select = button.getAttribute("aria-pressed") !== "true";
      all(".choose", section).forEach((other) => {
        const pressed = select && other === button;
        other.setAttribute("aria-pressed", String(pressed));
        other.textContent = pressed ? "Participant" : "This is the participant";
      });
      section.classList.toggle("chosen", select);
      show();
    });
  });

  document.getElementById("save").addEventListener("click", () => {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([choicesCsv()], { type: "text/csv" }));
    link.download = FILE;
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  });

  document.getElementById("copy").addEventListener("click", async (event) => {
    const command = document.getElementById("command");
    try {
      await navigator.clipboard.writeText(command.textContent);
      event.target.textContent = "Copied";
    } catch {
      getSelection().selectAllChildren(command);
    }
  });
  show();
})();
