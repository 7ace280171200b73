"use strict";
// The state of the page is its hash (measure, valence, word, session): every view has an address,
// and the browser's own history goes back. Text from the corpus only ever becomes text nodes.
const content = JSON.parse(document.getElementById("content").textContent);
const view = document.getElementById("view");
const measures = new Map(content.measures.map((measure) => [measure.name, measure]));
const GROUPS = { 1: "target group", 0: "comparison group" };
const TESTS = ["d", "p", "q"];
const BRANCHES = { audio: "voice", face: "face", multimodal: "multimodal", cross: "cross-attention" };
const severalModels = new Set(content.sessions.map((s) => `${s.fold} ${s.seed}`)).size > 1;

// ---- elements ----------------------------------------------------------------------------------

function element(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null));
  return made;
}

function drawn(name, attributes = {}, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

function number(value, digits = 2) {
  if (value === null || value === undefined) return "\u2013";
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "\u2212");
}

function chance(value) {
  return value !== null && value < 0.0005 ? "<0.001" : number(value, 3);
}

function equals(value) {
  return chance(value).replace(/^(?!<)/, "= ").replace("<", "< ");
}

function count(n, one, many = `${one}s`) {
  return `${n} ${n === 1 ? one : many}`;
}

// ---- state -------------------------------------------------------------------------------------

function state() {
  const given = new URLSearchParams(location.hash.slice(1));
  const index = (name, list) => {
    const value = given.get(name);
    return value !== null && /^\d+$/.test(value) && Number(value) < list.length ? Number(value) : null;
  };
  const valence = given.get("valence") ?? "";
  return {
    measure: measures.has(given.get("measure")) ? given.get("measure") : content.measures[0].name,
    valence: content.words.some((word) => word.valence === valence) ? valence : "",
    word: index("word", content.words),
    session: index("session", content.sessions),
  };
}

function address(changes) {
  const next = { ...state(), ...changes };
  const kept = Object.entries(next).filter(([, value]) => value !== null && value !== "");
  return `#${new URLSearchParams(kept)}`;
}

// ---- scales and marks --------------------------------------------------------------------------

function scaleOf(values, name) {
  if (name.startsWith("selected")) return { low: 0, high: 1, place: (value) => `${100 * value}%` };
  const known = values.filter((value) => value !== null && value !== undefined);
  let low = Math.min(0, ...known), high = Math.max(0, ...known);
  if (low === high) [low, high] = [-1, 1];
  return { low, high, place: (value) => `${(100 * (value - low)) / (high - low)}%` };
}

// columns of one kind share a scale: their bars can be compared
function scalesOf(names, valuesOf) {
  return Object.fromEntries(names.map((name) => {
    const alike = names.filter((other) => measures.get(other).kind === measures.get(name).kind);
    return [name, scaleOf(alike.flatMap(valuesOf), name)];
  }));
}

function ticksOf({ low, high }) {
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((times) => times * power).find((width) => width >= rough);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const numbers = Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
  return numbers.map((value) => ({ value, text: number(value, digits) }));
}

function lines(scale, ticks, height) {
  return ticks.map(({ value }) => {
    const x = scale.place(value), kind = Math.abs(value) < 1e-12 ? "zero" : "grid";
    return drawn("line", { x1: x, x2: x, y1: -9, y2: height + 9, class: kind });
  });
}

function axis(scale, ticks) {
  const texts = ticks.map(({ value, text }) => {
    const label = drawn("text", { x: scale.place(value), y: 12, "text-anchor": "middle" });
    label.append(text);
    return label;
  });
  return drawn("svg", { class: "draw", height: 16, "aria-hidden": "true" }, ...texts);
}

function mark(kind, x, y) {
  if (kind !== "comparison") return drawn("circle", { cx: x, cy: y, r: 4.5, class: kind });
  return drawn("svg", { x, y, overflow: "visible" },
    drawn("rect", { x: -4, y: -4, width: 8, height: 8, class: kind, "stroke-width": 2 }));
}

function kindOf(group) {
  return group === null ? "single" : group === 1 ? "target" : "comparison";
}

function intervals(row, scale, ticks) {
  const height = 10 + 13 * row.groups.length;
  const parts = lines(scale, ticks, height);
  row.groups.forEach((group, index) => {
    const y = 11 + 13 * index, kind = kindOf(group.label);
    if (group.low !== null) {
      const ends = { x1: scale.place(group.low), x2: scale.place(group.high), y1: y, y2: y };
      parts.push(drawn("line", { ...ends, class: kind, "stroke-width": 2 }));
    }
    parts.push(mark(kind, scale.place(group.mean), y));
  });
  const label = row.groups.map((group) => describe(group)).join("; ");
  return drawn("svg", { class: "draw", height, role: "img", "aria-label": label }, ...parts);
}

function short(measure) {
  return `${measure.kind}, ${measure.label.replace(" encoder", "")}`;
}

function unit(measure) {
  if (measure.kind === "Attention") return " (share of heads)";
  return content.binary ? " (logit)" : "";
}

function describe(group, digits = 2) {
  const [mean, low, high] = [group.mean, group.low, group.high].map((value) => number(value, digits));
  const range = group.low === null ? "" : ` (${low} to ${high})`;
  const name = group.label === null ? "all" : GROUPS[group.label];
  return `${name} ${mean}${range}, ${count(group.persons, "person")}`;
}

function meter(value, scale, name, label) {
  const cell = element("td", { class: "meter", "data-label": label, "data-field": name });
  if (value === null || value === undefined) {
    cell.append("\u2013");
    return cell;
  }
  const from = scale.place(Math.min(0, value)), width = scale.place(scale.low + Math.abs(value));
  const kind = name.startsWith("selected") ? "share" : value > 0 ? "for" : "against";
  const zero = scale.place(0);
  const bar = drawn("svg", { class: "draw", height: 14, "aria-hidden": "true" },
    drawn("rect", { x: from, y: 2, width, height: 10, class: kind }),
    drawn("line", { x1: zero, x2: zero, y1: 0, y2: 14, class: "zero" }));
  cell.append(element("div", { class: "value" }, bar, element("span", {}, number(value))));
  return cell;
}

function groupKey(groups) {
  if (groups.includes(null)) return null;
  const items = groups.map((group) => element("li", {},
    drawn("svg", { "aria-hidden": "true" },
      drawn("line", { x1: "0", x2: "100%", y1: 7, y2: 7, class: kindOf(group), "stroke-width": 2 }),
      mark(kindOf(group), "50%", 7)),
    `${GROUPS[group]} (label ${group}): mean and ${100 * content.confidence} % interval`));
  return element("ul", { class: "key" }, ...items);
}

// ---- views -------------------------------------------------------------------------------------

function heading(text) {
  return element("h2", { tabindex: "-1" }, text);
}

function select(label, name, options) {
  const chosen = state()[name];
  const box = element("select", { id: `choose-${name}` });
  for (const [kind, entries] of options) {
    const home = kind === "" ? box : box.appendChild(element("optgroup", { label: kind }));
    for (const [value, text] of entries) {
      const option = home.appendChild(element("option", { value }, text));
      option.selected = value === chosen;
    }
  }
  box.addEventListener("change", () => { location.hash = address({ [name]: box.value }); });
  return element("label", {}, label, box);
}

function kindsOf(list) {
  const kinds = [...new Set(list.map((measure) => measure.kind))];
  return kinds.map((kind) => [kind, list.filter((measure) => measure.kind === kind)]);
}

function measureChoice() {
  const options = kindsOf(content.measures).map(([kind, entries]) =>
    [kind, entries.map((measure) => [measure.name, `${measure.kind}: ${measure.label}`])]);
  return select("Measure", "measure", options);
}

function filters() {
  const valences = [...new Set(content.words.map((word) => word.valence))].filter(Boolean).sort();
  const made = element("div", { class: "filters" }, measureChoice());
  if (valences.length > 1) {
    const all = [["", "all words"], ...valences.map((valence) => [valence, `${valence} words`])];
    made.append(select("Valence of the word", "valence", [["", all]]));
  }
  return made;
}

function chartView(now) {
  const parts = [];
  if (content.words.length) parts.push(...chart(now));
  if (content.regions.length) parts.push(...regionChart());
  const shown = content.sessions.map((session, index) => ({ session, index }));
  parts.push(content.words.length ? element("h2", {}, "Sessions") : heading("Sessions"), sample());
  if (!content.words.length) {
    parts.push(element("p", {}, "The steps of these sessions have no words: they are numbered."));
  }
  parts.push(sessionList(shown, []));
  return parts;
}

function sample() {
  const { shown, readings } = content.counts;
  if (shown === readings) return null;
  return element("p", { "data-field": "sample" }, `This page lists ${shown} of ${readings} sessions, ` +
    "drawn at random. Means, intervals and tests of words are from all of them.");
}

// columns of tests behind a plot, and their numbers of a row
function testCells(row) {
  const clear = row.q !== null && row.q < 0.05 ? "num clear" : "num";
  return [number(row.effect), chance(row.p), chance(row.q)].map((text, index) =>
    element("td", { class: index === 2 ? clear : "num", "data-field": TESTS[index] }, text));
}

function testHeads() {
  return TESTS.map((name) => element("th", { class: "num", scope: "col" }, name));
}

function chart(now) {
  const measure = measures.get(now.measure), all = content.statistics[now.measure];
  const rows = all.filter((row) => !now.valence || content.words[row.word].valence === now.valence);
  const parts = [heading("Words"), filters(),
    element("p", { class: "soft" }, `${measure.kind}, ${measure.label}: ${measure.meaning}.`)];
  if (!rows.length) {
    parts.push(element("p", {}, "No word was read by enough persons to be compared."));
    return parts;
  }
  // one scale for all valences: bars do not move when words are filtered
  const ends = all.flatMap((row) => row.groups.flatMap((group) => [group.mean, group.low, group.high]));
  const scale = scaleOf(ends, now.measure), ticks = ticksOf(scale);
  const two = rows[0].groups.length === 2;
  const plot = element("th", { class: "plot", scope: "col" },
    element("span", {}, `${measure.kind}, ${measure.label}${unit(measure)}`), axis(scale, ticks));
  const head = element("tr", {}, element("th", { scope: "col" }, "Word"), plot, ...(two ? testHeads() : []));
  const body = rows.map((row) => {
    const { word, valence } = content.words[row.word];
    const link = element("a", { href: address({ word: row.word }) }, word);
    return element("tr", {}, element("th", { scope: "row", class: "wrap" }, link,
      valence ? element("small", {}, valence) : null),
    element("td", { class: "plot" }, intervals(row, scale, ticks)), ...(two ? testCells(row) : []));
  });
  parts.push(groupKey(rows[0].groups.map((group) => group.label)),
    element("div", { class: "frame" }, element("table", { class: "chart" },
      element("caption", { hidden: "" }, "Words, strongest difference between the groups first"),
      element("thead", {}, head), element("tbody", {}, ...body))), chartNotes(rows, all, two));
  return parts;
}

function chartNotes(rows, all, two) {
  const { words, rare } = content.counts;
  const notes = [`${rows.length} of ${count(words, "word")}`];
  if (two) notes[0] += ", strongest difference first; q below 0.05 is bold";
  if (rare) notes.push(`${count(rare, "word")} of fewer than three persons in a group cannot be compared`);
  if (all.length < words - rare) notes.push(`only the strongest ${all.length} are listed`);
  return element("p", { class: "soft" }, `${notes.join(". ")}.`);
}

function regionName(region) {
  const band = region.match(/^(\d+)-(\d+)_hz$/);
  return band ? `${band[1]}\u2013${band[2]} Hz` : region.replaceAll("_", " ");
}

function regionChart() {
  const rows = content.regions, two = rows[0].groups.length === 2;
  const ends = rows.flatMap((row) => [row.even, ...row.groups.flatMap((group) => [group.mean, group.high])]);
  const scale = scaleOf(ends, "region"), ticks = ticksOf(scale);
  const plot = element("th", { class: "plot", scope: "col" }, element("span", {}, "Share of the map"), axis(scale, ticks));
  const head = element("tr", {}, element("th", { scope: "col" }, "Region"), plot, ...(two ? testHeads() : []));
  const body = rows.map((row) => element("tr", {},
    element("th", { scope: "row", class: "wrap" }, regionName(row.region),
      element("small", {}, `${BRANCHES[row.modality] ?? row.modality}, even map ${number(row.even)}`)),
    element("td", { class: "plot" }, intervals(row, scale, ticks)), ...(two ? testCells(row) : [])));
  return [element("h2", {}, "Regions of face and voice"),
    element("p", { class: "soft" }, "Grad-CAM: where in a crop or a spectrogram the logit of label 1 comes from. " +
      "A share above that of an even map marks a region that matters more than its size; maps are coarse."),
    groupKey(rows[0].groups.map((group) => group.label)),
    element("div", { class: "frame" }, element("table", { class: "chart regions" },
      element("caption", { hidden: "" }, "Regions of face and voice, in their order"),
      element("thead", {}, head), element("tbody", {}, ...body)))];
}

function sessionName(session) {
  const model = severalModels ? `, fold ${session.fold}, seed ${session.seed}` : "";
  return `${session.subject}${model}`;
}

function truth(session) {
  return session.label === null ? "" : GROUPS[session.label];
}

function answer(session) {
  return number(session.answer);
}

function sessionList(entries, columns) {
  const scales = scalesOf(columns, (name) => entries.map((entry) => entry[name]));
  const label = content.binary ? "model's probability" : "estimated score";
  const names = ["session", ...(content.binary ? ["group"] : []), label,
    ...columns.map((name) => short(measures.get(name)))];
  const twice = new Set(entries.map((entry) => entry.index)).size < entries.length;
  const rows = entries.map((entry) => {
    const link = element("a", { href: address({ session: entry.index }) }, entry.session.session);
    const row = element("tr", {}, element("th", { scope: "row", class: "wrap" }, link,
      element("small", {}, sessionName(entry.session) + (twice ? `, step ${entry.place + 1}` : ""))));
    if (content.binary) row.append(element("td", { "data-label": "group" }, truth(entry.session)));
    row.append(element("td", { class: "num", "data-label": label, "data-field": "answer" }, answer(entry.session)));
    columns.forEach((name, index) => row.append(meter(entry[name], scales[name], name, names.at(index - columns.length))));
    return row;
  });
  const head = names.map((name) => element("th", { scope: "col", class: name === label ? "num" : "" },
    name[0].toUpperCase() + name.slice(1)));
  return element("div", { class: "frame" }, element("table", { class: "list" },
    element("thead", {}, element("tr", {}, ...head)), element("tbody", {}, ...rows)));
}

function crumbs(...links) {
  const line = element("nav", { class: "crumbs", "aria-label": "Way back" });
  links.forEach(([text, href], index) => line.append(index ? " \u203a " : "", element("a", { href }, text)));
  return line;
}

function wordView(now) {
  const { word, valence } = content.words[now.word], measure = measures.get(now.measure);
  const row = content.statistics[now.measure].find((candidate) => candidate.word === now.word);
  const selected = content.measures.find((candidate) => candidate.name.startsWith("selected"));
  const columns = [...new Set([now.measure, content.measures[0].name, ...(selected ? [selected.name] : [])])];
  const entries = content.sessions.flatMap((session, index) => session.word.flatMap((own, place) =>
    own !== now.word ? [] : [{ session, index, place: session.step[place],
      ...Object.fromEntries(columns.map((name) => [name, session[name][place]])) }]));
  const value = (entry) => entry[now.measure] ?? -Infinity;
  entries.sort((a, b) => (b.session.label ?? 0) - (a.session.label ?? 0) || value(b) - value(a));
  const parts = [crumbs(["All words", address({ word: null, session: null })]), heading(word)];
  if (valence) parts.push(element("p", { class: "soft" }, `${valence} word`));
  parts.push(element("div", { class: "filters" }, measureChoice()));
  if (row) {
    const ends = row.groups.flatMap((group) => [group.mean, group.low, group.high]);
    const scale = scaleOf(ends, now.measure), ticks = ticksOf(scale);
    const digits = Math.max(2, ...ticks.map(({ text }) => text.split(".")[1]?.length ?? 0)) + (scale.high - scale.low < 0.2);
    parts.push(groupKey(row.groups.map((group) => group.label)),
      element("div", { class: "card" },
        element("strong", {}, `${measure.kind}, ${measure.label}${unit(measure)}`),
        intervals(row, scale, ticks), axis(scale, ticks),
        element("p", { "data-field": "groups" }, `Mean: ${row.groups.map((group) => describe(group, digits)).join("; ")}.`),
        row.groups.length === 2 ? element("p", { "data-field": "test" },
          `Difference d = ${number(row.effect)}, p ${equals(row.p)}, q ${equals(row.q)}.`) : null));
  } else {
    parts.push(element("p", {}, "Too few persons read this word to compare groups."));
  }
  parts.push(element("h3", {}, `Read in ${count(entries.length, "session")}`), sample(), signKey(),
    sessionList(entries, columns));
  return parts;
}

function signKey() {
  const [up, down] = content.binary ? ["for label 1", "against label 1"]
    : ["raises the score", "lowers the score"];
  const item = (kind, text) => element("li", {}, drawn("svg", { "aria-hidden": "true" },
    drawn("rect", { x: 0, y: 2, width: "100%", height: 10, class: kind })), text);
  return element("ul", { class: "key" }, item("for", `to the right: ${up}`),
    item("against", `to the left: ${down}`));
}

function sessionView(now) {
  const session = content.sessions[now.session];
  const way = [["All words", address({ word: null, session: null })]];
  if (!content.words.length) way[0][0] = "All sessions";
  if (now.word !== null) way.push([content.words[now.word].word, address({ session: null })]);
  const facts = [["Person", `${session.corpus} / ${session.subject}`]];
  if (severalModels) facts.push(["Model", `fold ${session.fold}, seed ${session.seed}`]);
  facts.push(content.binary ? ["Model's probability of label 1", answer(session)] : ["Estimated score", answer(session)]);
  if (content.binary) facts.push(["Truth", session.label === null ? "unknown" : `label ${session.label} (${truth(session)})`]);
  const parts = [crumbs(...way), heading(`Session ${session.session}`),
    element("div", { class: "card facts" }, ...facts.map(([name, value]) =>
      element("div", {}, element("small", {}, name), element("div", { class: "wrap", "data-fact": name }, value))))];
  parts.push(element("h3", {}, "Steps in their order"), signKey(), timeline(session, now.word));
  if (session.branches.length) parts.push(...branchTable(session));
  if (session.modalities.length) parts.push(...modalityTable(session));
  return parts;
}

function timeline(session, marked) {
  const here = content.measures.filter(({ name }) => session[name].some((value) => value !== null));
  const scales = scalesOf(here.map(({ name }) => name), (name) => session[name]);
  const kinds = kindsOf(here);
  const head = [element("tr", {}, element("th", { scope: "col", rowspan: 2 }, "Step"), ...kinds.map(([kind, own]) =>
    element("th", { scope: "colgroup", colspan: own.length }, `${kind}${unit(own[0])}`))),
  element("tr", {}, ...kinds.flatMap(([, own]) => own.map(({ label }) => element("th", { scope: "col" }, label))))];
  const rows = session.step.map((step, place) => {
    const word = session.word[place] === null ? null : content.words[session.word[place]];
    const name = element("th", { scope: "row", class: "wrap" }, element("span", { class: "place" }, `${step + 1}`),
      word ? ` ${word.word}` : null, word && word.valence ? element("small", {}, word.valence) : null);
    const row = element("tr", marked !== null && session.word[place] === marked ? { "aria-current": "true" } : {}, name);
    for (const measure of kinds.flatMap(([, own]) => own)) {
      row.append(meter(session[measure.name][place], scales[measure.name], measure.name, short(measure)));
    }
    return row;
  });
  return element("div", { class: "frame" }, element("table", { class: "timeline" },
    element("thead", {}, ...head), element("tbody", {}, ...rows)));
}

function branchTable(session) {
  const scale = scaleOf(session.branches.map((branch) => branch.logit), "logit");
  const rows = session.branches.map((branch) => element("tr", {},
    element("th", { scope: "row" }, BRANCHES[branch.branch] ?? branch.branch, branch.present === false ? element("small", {}, "not there in this session") : null),
    meter(branch.logit, scale, "logit", "logit"), meter(branch.gate, scaleOf([], "selected"), "selected gate", "gate")));
  const head = ["Branch", "Its own logit", "Gate"];
  return [element("h3", {}, "Branches of the model"),
    element("p", { class: "soft" }, "The model adds what its branches say, each times its gate: the probability, or fixed weight, with which the branch takes part. Where a branch is not there, the others count for more. Gates are learned once and are the same in all sessions."),
    element("div", { class: "frame" }, element("table", { class: "timeline" },
      element("thead", {}, element("tr", {}, ...head.map((name) => element("th", { scope: "col" }, name)))),
      element("tbody", {}, ...rows)))];
}

function modalityTable(session) {
  const parts = session.modalities.map((modality) => BRANCHES[modality.modality] ?? modality.modality);
  const made = [element("h3", {}, "Modalities"), element("p", {}, `This session has ${parts.join(" and ")}.`)];
  const values = session.modalities.map((modality) => modality.shapley ?? null);
  if (values.every((value) => value === null)) return made;
  const scale = scaleOf(values, "shapley");
  const rows = parts.map((name, index) => element("tr", {}, element("th", { scope: "row" }, name),
    meter(values[index], scale, "shapley", "Shapley value")));
  made.push(element("div", { class: "frame" }, element("table", { class: "timeline" },
    element("thead", {}, element("tr", {}, element("th", { scope: "col" }, "Modality"),
      element("th", { scope: "col" }, "Shapley value: its share of the logit"))),
    element("tbody", {}, ...rows))));
  return made;
}

// ---- moving ------------------------------------------------------------------------------------

function level(now) {
  return (now.word !== null) + 2 * (now.session !== null);
}

let before = null;

function show() {
  const now = state();
  const make = now.session !== null ? sessionView : now.word !== null ? wordView : chartView;
  const active = document.activeElement?.id;
  view.replaceChildren(...make(now).filter((part) => part !== null));
  const moved = before !== null && (before.word !== now.word || before.session !== now.session);
  if (moved) {
    // back: to the link that was left; on: to the head of what was opened
    const href = address({ word: before.word, session: before.session });
    const left = level(now) < level(before) && view.querySelector(`tbody a[href="${CSS.escape(href)}"]`);
    (left || view.querySelector("h2")).focus();
    if (!left) scrollTo(0, Math.max(0, view.getBoundingClientRect().top + scrollY - 16));
  } else if (active) {
    document.getElementById(active)?.focus();
  }
  before = now;
}

view.addEventListener("click", (event) => {
  // the row is a large target for the link in it
  if (!event.target.closest("a")) event.target.closest("tbody tr")?.querySelector("th a")?.click();
});

addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.target.tagName === "SELECT") return;
  const now = state();
  if (now.session !== null) location.hash = address({ session: null });
  else if (now.word !== null) location.hash = address({ word: null });
});

addEventListener("hashchange", show);
show();
