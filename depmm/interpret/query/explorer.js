"use strict";
// The state of the page is in its hash (measure, valence, word, session), so every view has an
// address and a place in the history of the browser. Text of the corpus is inserted as text nodes only.
const content = JSON.parse(document.getElementById("content").textContent);
const view = document.getElementById("view");
const measures = new Map(content.measures.map((measure) => [measure.name, measure]));
const TESTS = ["d", "p", "q"];
const BRANCHES = { audio: "voice", cross: "cross-attention" };
const severalModels = new Set(content.sessions.map((s) => `${s.fold} ${s.seed}`)).size > 1;

function append(node, attributes, children) {
  for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
  node.append(...children.filter((child) => child !== null));
  return node;
}

function html(name, attributes = {}, ...children) {
  return append(document.createElement(name), attributes, children);
}

function svg(name, attributes = {}, ...children) {
  return append(document.createElementNS("http://www.w3.org/2000/svg", name), attributes, children);
}

function formatNumber(value, digits = 2) {
  if (value === null || value === undefined) return "\u2013";
  const text = value.toFixed(digits);
  return (Number(text) === 0 ? text.replace("-", "") : text).replace("-", "\u2212");
}

function formatP(value) {
  return value !== null && value < 0.0005 ? "<0.001" : formatNumber(value, 3);
}

function formatEquation(value) {
  return formatP(value).replace(/^(?!<)/, "= ").replace("<", "< ");
}

function formatCount(n, singular, plural = `${singular}s`) {
  return `${n} ${n === 1 ? singular : plural}`;
}

function readState() {
  const parameters = new URLSearchParams(location.hash.slice(1));
  const readIndex = (name, list) => {
    const value = parameters.get(name);
    return value !== null && /^\d+$/.test(value) && Number(value) < list.length ? Number(value) : null;
  };
  const measure = parameters.get("measure"), valence = parameters.get("valence") ?? "";
  return {
    measure: measures.has(measure) ? measure : content.measures[0].name,
    valence: content.words.some((word) => word.valence === valence) ? valence : "",
    word: readIndex("word", content.words),
    session: readIndex("session", content.sessions),
  };
}

function buildHash(changes) {
  const next = { ...readState(), ...changes };
  const parameters = Object.entries(next).filter(([, value]) => value !== null && value !== "");
  return `#${new URLSearchParams(parameters)}`;
}

function buildScale(values, name) {
  if (name.startsWith("selected")) return { low: 0, high: 1, at: (value) => `${100 * value}%` };
  const known = values.filter((value) => value !== null && value !== undefined);
  let low = Math.min(0, ...known), high = Math.max(0, ...known);
  if (low === high) [low, high] = [-1, 1];
  return { low, high, at: (value) => `${(100 * (value - low)) / (high - low)}%` };
}

// measures of one kind have a common scale: their bars are comparable
function buildScales(names, getValues) {
  return Object.fromEntries(names.map((name) => {
    const alike = names.filter((other) => measures.get(other).kind === measures.get(name).kind);
    return [name, buildScale(alike.flatMap(getValues), name)];
  }));
}

function buildTicks({ low, high }) {
  const rough = (high - low) / 4, power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].map((factor) => factor * power).find((width) => width >= rough);
  const first = Math.ceil(low / step - 1e-9), last = Math.floor(high / step + 1e-9);
  const digits = Math.max(0, -Math.floor(Math.log10(step) + 1e-9));
  const values = Array.from({ length: last - first + 1 }, (_, index) => (first + index) * step);
  return values.map((value) => ({ value, text: formatNumber(value, digits) }));
}

function drawGrid(scale, ticks, height) {
  return ticks.map(({ value }) => {
    const x = scale.at(value), kind = Math.abs(value) < 1e-12 ? "zero" : "grid";
    return svg("line", { x1: x, x2: x, y1: -9, y2: height + 9, class: kind });
  });
}

function drawAxis(scale, ticks) {
  const texts = ticks.map(({ value, text }) =>
    svg("text", { x: scale.at(value), y: 12, "text-anchor": "middle" }, text));
  return svg("svg", { class: "draw", height: 16, "aria-hidden": "true" }, ...texts);
}

// label 1 is a filled circle and label 0 an open square, which differ without colour, too
function drawMarker(kind, x, y) {
  if (kind !== "label0") return svg("circle", { cx: x, cy: y, r: 4.5, class: kind });
  return svg("svg", { x, y, overflow: "visible" },
    svg("rect", { x: -4, y: -4, width: 8, height: 8, class: kind, "stroke-width": 2 }));
}

function getMarkerClass(label) {
  return label === null ? "all" : `label${label}`;
}

function drawIntervals(row, scale, ticks) {
  const height = 10 + 13 * row.groups.length;
  const parts = drawGrid(scale, ticks, height);
  row.groups.forEach((group, index) => {
    const y = 11 + 13 * index, kind = getMarkerClass(group.label);
    if (group.ci_low !== null) {
      const ends = { x1: scale.at(group.ci_low), x2: scale.at(group.ci_high), y1: y, y2: y };
      parts.push(svg("line", { ...ends, class: kind, "stroke-width": 2 }));
    }
    parts.push(drawMarker(kind, scale.at(group.mean), y));
  });
  const label = row.groups.map((group) => describeGroup(group)).join("; ");
  return svg("svg", { class: "draw", height, role: "img", "aria-label": label }, ...parts);
}

function getShortName(measure) {
  return `${measure.kind}, ${measure.label.replace(" encoder", "")}`;
}

function getUnit(measure) {
  if (measure.kind === "Attention") return " (share of heads)";
  return content.binary ? " (logit)" : "";
}

function describeGroup(group, digits = 2) {
  const [mean, low, high] = [group.mean, group.ci_low, group.ci_high].map((value) => formatNumber(value, digits));
  const interval = group.ci_low === null ? "" : ` (${low} to ${high})`;
  const name = group.label === null ? "all" : `label ${group.label}`;
  return `${name}: ${mean}${interval}, ${formatCount(group.n_subjects, "subject")}`;
}

function buildBarCell(value, scale, name, label) {
  const cell = html("td", { class: "bar-cell", "data-label": label, "data-field": name });
  if (value === null || value === undefined) {
    cell.append("\u2013");
    return cell;
  }
  const x = scale.at(Math.min(0, value)), width = scale.at(scale.low + Math.abs(value));
  const kind = name.startsWith("selected") ? "rate" : value > 0 ? "positive" : "negative";
  const zero = scale.at(0);
  const bar = svg("svg", { class: "draw", height: 14, "aria-hidden": "true" },
    svg("rect", { x, y: 2, width, height: 10, class: kind }),
    svg("line", { x1: zero, x2: zero, y1: 0, y2: 14, class: "zero" }));
  cell.append(html("div", { class: "value" }, bar, html("span", {}, formatNumber(value))));
  return cell;
}

function buildLabelKey(labels) {
  if (labels.includes(null)) return null;
  const items = labels.map((label) => html("li", {},
    svg("svg", { "aria-hidden": "true" },
      svg("line", { x1: "0", x2: "100%", y1: 7, y2: 7, class: getMarkerClass(label), "stroke-width": 2 }),
      drawMarker(getMarkerClass(label), "50%", 7)),
    `label ${label}: mean and ${100 * content.confidence} % confidence interval`));
  return html("ul", { class: "key" }, ...items);
}

function buildSignKey() {
  const output = content.binary ? "logit of label 1" : "score";
  const item = (kind, text) => html("li", {}, svg("svg", { "aria-hidden": "true" },
    svg("rect", { x: 0, y: 2, width: "100%", height: 10, class: kind })), text);
  return html("ul", { class: "key" }, item("positive", `to the right: raises the ${output}`),
    item("negative", `to the left: lowers the ${output}`));
}

function buildHeading(text) {
  return html("h2", { tabindex: "-1" }, text);
}

function buildSelect(label, name, options) {
  const chosen = readState()[name];
  const box = html("select", { id: `choose-${name}` });
  for (const [kind, entries] of options) {
    const parent = kind === "" ? box : box.appendChild(html("optgroup", { label: kind }));
    for (const [value, text] of entries) {
      const option = parent.appendChild(html("option", { value }, text));
      option.selected = value === chosen;
    }
  }
  box.addEventListener("change", () => { location.hash = buildHash({ [name]: box.value }); });
  return html("label", {}, label, box);
}

function groupByKind(list) {
  const kinds = [...new Set(list.map((measure) => measure.kind))];
  return kinds.map((kind) => [kind, list.filter((measure) => measure.kind === kind)]);
}

function buildMeasureSelect() {
  const options = groupByKind(content.measures).map(([kind, entries]) =>
    [kind, entries.map((measure) => [measure.name, `${measure.kind}: ${measure.label}`])]);
  return buildSelect("Measure", "measure", options);
}

function buildFilters() {
  const valences = [...new Set(content.words.map((word) => word.valence))].filter(Boolean).sort();
  const filters = html("div", { class: "filters" }, buildMeasureSelect());
  if (valences.length > 1) {
    const entries = [["", "all words"], ...valences.map((valence) => [valence, `${valence} words`])];
    filters.append(buildSelect("Valence of the word", "valence", [["", entries]]));
  }
  return filters;
}

function buildOverview(state) {
  const hasWords = content.words.length > 0, parts = [];
  if (hasWords) parts.push(...buildWordChart(state));
  parts.push(...buildRegionCharts());
  const entries = content.sessions.map((session, index) => ({ session, index }));
  parts.push(hasWords ? html("h2", {}, "Sessions") : buildHeading("Sessions"), buildSampleNote());
  if (!hasWords) {
    parts.push(html("p", {}, "The steps of these sessions have no words and are numbered."));
  }
  parts.push(buildSessionList(entries, []));
  return parts;
}

function buildSampleNote() {
  const { listed, readings } = content.counts;
  if (listed === readings) return null;
  return html("p", { "data-field": "sample" }, `This page lists a random sample of ${listed} of ${readings} sessions. ` +
    "Means, intervals and tests of words use all of them.");
}

function buildTestCells(row) {
  const bold = row.q !== null && row.q < 0.05 ? "num bold" : "num";
  return [formatNumber(row.effect), formatP(row.p), formatP(row.q)].map((text, index) =>
    html("td", { class: index === 2 ? bold : "num", "data-field": TESTS[index] }, text));
}

function buildTestHeads() {
  return TESTS.map((name) => html("th", { class: "num", scope: "col" }, name));
}

// rows with means and intervals of the labels; `header` builds the row header of a row
function buildChart({ rows, scale, ticks, title, caption, name, header, kind = "" }) {
  const hasTests = rows[0].groups.length === 2;
  const plot = html("th", { class: "plot", scope: "col" }, html("span", {}, title), drawAxis(scale, ticks));
  const head = html("tr", {}, html("th", { scope: "col" }, name), plot, ...(hasTests ? buildTestHeads() : []));
  const body = rows.map((row) => html("tr", {},
    html("th", { scope: "row", class: "wrap" }, ...header(row)),
    html("td", { class: "plot" }, drawIntervals(row, scale, ticks)), ...(hasTests ? buildTestCells(row) : [])));
  return [buildLabelKey(rows[0].groups.map((group) => group.label)),
    html("div", { class: "frame" }, html("table", { class: `chart ${kind}` },
      html("caption", { hidden: "" }, caption), html("thead", {}, head), html("tbody", {}, ...body)))];
}

function buildWordChart(state) {
  const measure = measures.get(state.measure), all = content.statistics[state.measure];
  const rows = all.filter((row) => !state.valence || content.words[row.word].valence === state.valence);
  const parts = [buildHeading("Words"), buildFilters(),
    html("p", { class: "soft" }, `${measure.kind}, ${measure.label}: ${measure.meaning}${getRelative(measure)}.`)];
  if (!rows.length) {
    parts.push(html("p", {}, "No word was read by enough subjects to be compared."));
    return parts;
  }
  // one scale for all valences: markers keep their positions when words are filtered
  const ends = all.flatMap((row) => row.groups.flatMap((group) => [group.mean, group.ci_low, group.ci_high]));
  const scale = buildScale(ends, state.measure), ticks = buildTicks(scale);
  const header = (row) => {
    const { word, valence } = content.words[row.word];
    const link = html("a", { href: buildHash({ word: row.word }) }, word);
    return [link, valence ? html("small", {}, valence) : null];
  };
  const title = `${measure.kind}, ${measure.label}${getUnit(measure)}`;
  const caption = "Words, the strongest difference between the labels first";
  parts.push(...buildChart({ rows, scale, ticks, title, caption, name: "Word", header }),
    buildChartNotes(rows, all));
  if (content.all_steps.length && measure.kind !== "Attention") parts.push(...buildAllSteps());
  return parts;
}

function getRelative(measure) {
  if (measure.kind === "Attention") return "";
  return `, ${measure.kind === "Permutation" ? "relative to the subject\u2019s other words" : content.relative}`;
}

// the attribution of all steps together has a scale of its own
function buildAllSteps() {
  const rows = content.all_steps;
  const ends = rows.flatMap((row) => row.groups.flatMap((group) => [group.mean, group.ci_low, group.ci_high]));
  const scale = buildScale(ends, "all_steps"), ticks = buildTicks(scale);
  return buildChart({ rows, scale, ticks, title: `All steps removed${content.binary ? " (logit)" : ""}`, name: "",
    caption: "All steps removed", kind: "whole", header: (row) => [row.word, html("small", {}, "a test of its own")] });
}

function buildChartNotes(rows, all) {
  const { words, rare } = content.counts;
  const notes = [`${rows.length} of ${formatCount(words, "word")}`];
  if (rows[0].groups.length === 2) notes[0] += ", the strongest difference first; q below 0.05 is bold";
  if (rare) notes.push(`${formatCount(rare, "word")} with fewer than three subjects of a label cannot be compared`);
  if (all.length < words - rare) notes.push(`Only the strongest ${all.length} are listed`);
  return html("p", { class: "soft" }, `${notes.join(". ")}.`);
}

function getRegionName(region) {
  const band = region.match(/^(\d+)-(\d+)_hz$/);
  return band ? `${band[1]}\u2013${band[2]} Hz` : region.replaceAll("_", " ");
}

function buildRegionCharts() {
  const charts = [];
  if (content.occluded.length) {
    charts.push(...buildRegionChart(content.occluded, {
      text: "Occlusion of regions: the model output with a region of the face minus that with the mean colour of the " +
        "crop in its place, in one step; mean over the steps.",
      title: `Occlusion${content.binary ? " (logit)" : ""}`, area: "area", kind: "occluded" }));
  }
  if (content.regions.length) {
    charts.push(...buildRegionChart(content.regions, {
      text: "Grad-CAM: the parts of a crop or a spectrogram that raise the model output. A share above that of a " +
        "uniform map means that the map is stronger there than on average. Maps are coarse, and an encoder that " +
        "reads motion can depend on a region that they do not show.",
      title: "Share of the map", area: "uniform map", kind: "regions" }));
  }
  return charts.length ? [html("h2", {}, "Regions of face and voice"), ...charts] : [];
}

function buildRegionChart(rows, { text, title, area, kind }) {
  const ends = rows.flatMap((row) => row.groups.flatMap((group) => [group.mean, group.ci_low, group.ci_high]));
  const scale = buildScale(kind === "regions" ? [...ends, ...rows.map((row) => row.area)] : ends, "region");
  const header = (row) => [getRegionName(row.region), html("small", {},
    `${BRANCHES[row.modality] ?? row.modality}, ${area} ${formatNumber(row.area)}`)];
  return [html("p", { class: "soft" }, text),
    ...buildChart({ rows, scale, ticks: buildTicks(scale), title, name: "Region", header, kind,
      caption: "Regions, in their order" })];
}

function getModelName(session) {
  const model = severalModels ? `, fold ${session.fold}, seed ${session.seed}` : "";
  return `${session.subject}${model}`;
}

function getLabelText(session) {
  return session.label === null ? "\u2013" : `${session.label}`;
}

function buildSessionList(entries, columns) {
  const scales = buildScales(columns, (name) => entries.map((entry) => entry[name]));
  const prediction = content.binary ? "predicted probability" : "predicted score";
  const names = ["session", ...(content.binary ? ["label"] : []), prediction,
    ...columns.map((name) => getShortName(measures.get(name)))];
  const repeated = new Set(entries.map((entry) => entry.index)).size < entries.length;
  const rows = entries.map((entry) => {
    const link = html("a", { href: buildHash({ session: entry.index }) }, entry.session.session);
    const row = html("tr", {}, html("th", { scope: "row", class: "wrap" }, link,
      html("small", {}, getModelName(entry.session) + (repeated ? `, step ${entry.step + 1}` : ""))));
    if (content.binary) row.append(html("td", { "data-label": "label" }, getLabelText(entry.session)));
    row.append(html("td", { class: "num", "data-label": prediction, "data-field": "prediction" },
      formatNumber(entry.session.prediction)));
    columns.forEach((name, index) =>
      row.append(buildBarCell(entry[name], scales[name], name, names.at(index - columns.length))));
    return row;
  });
  const head = names.map((name) => html("th", { scope: "col", class: name === prediction ? "num" : "" },
    name[0].toUpperCase() + name.slice(1)));
  return html("div", { class: "frame" }, html("table", { class: "list" },
    html("thead", {}, html("tr", {}, ...head)), html("tbody", {}, ...rows)));
}

function buildBreadcrumbs(...links) {
  const line = html("nav", { class: "crumbs", "aria-label": "Breadcrumbs" });
  links.forEach(([text, href], index) => line.append(index ? " \u203a " : "", html("a", { href }, text)));
  return line;
}

function buildWordCard(row, measure) {
  const ends = row.groups.flatMap((group) => [group.mean, group.ci_low, group.ci_high]);
  const scale = buildScale(ends, measure.name), ticks = buildTicks(scale);
  const tickDigits = ticks.map(({ text }) => text.split(".")[1]?.length ?? 0);
  const digits = Math.max(2, ...tickDigits) + (scale.high - scale.low < 0.2);
  return html("div", { class: "card" },
    html("strong", {}, `${measure.kind}, ${measure.label}${getUnit(measure)}`),
    drawIntervals(row, scale, ticks), drawAxis(scale, ticks),
    html("p", { "data-field": "groups" }, `Mean of ${row.groups.map((group) => describeGroup(group, digits)).join("; ")}.`),
    row.groups.length === 2 ? html("p", { "data-field": "test" },
      `Difference d = ${formatNumber(row.effect)}, p ${formatEquation(row.p)}, q ${formatEquation(row.q)}.`) : null);
}

function buildWordView(state) {
  const { word, valence } = content.words[state.word], measure = measures.get(state.measure);
  const row = content.statistics[state.measure].find((candidate) => candidate.word === state.word);
  const selected = content.measures.find((candidate) => candidate.name.startsWith("selected"));
  const columns = [...new Set([state.measure, content.measures[0].name, ...(selected ? [selected.name] : [])])];
  const entries = content.sessions.flatMap((session, index) => session.word.flatMap((other, position) =>
    other !== state.word ? [] : [{ session, index, step: session.step[position],
      ...Object.fromEntries(columns.map((name) => [name, session[name][position]])) }]));
  const getValue = (entry) => entry[state.measure] ?? -Infinity;
  entries.sort((a, b) => (b.session.label ?? 0) - (a.session.label ?? 0) || getValue(b) - getValue(a));
  const parts = [buildBreadcrumbs(["All words", buildHash({ word: null, session: null })]), buildHeading(word)];
  if (valence) parts.push(html("p", { class: "soft" }, `${valence} word`));
  parts.push(html("div", { class: "filters" }, buildMeasureSelect()));
  if (row) parts.push(buildLabelKey(row.groups.map((group) => group.label)), buildWordCard(row, measure));
  else parts.push(html("p", {}, "Too few subjects read this word to compare the labels."));
  parts.push(html("h3", {}, `Read in ${formatCount(entries.length, "session")}`), buildSampleNote(), buildSignKey(),
    buildSessionList(entries, columns));
  return parts;
}

function buildSessionView(state) {
  const session = content.sessions[state.session];
  const overview = content.words.length ? "All words" : "All sessions";
  const path = [[overview, buildHash({ word: null, session: null })]];
  if (state.word !== null) path.push([content.words[state.word].word, buildHash({ session: null })]);
  const facts = [["Subject", `${session.corpus} / ${session.subject}`]];
  if (severalModels) facts.push(["Model", `fold ${session.fold}, seed ${session.seed}`]);
  const prediction = content.binary ? "Predicted probability of label 1" : "Predicted score";
  facts.push([prediction, formatNumber(session.prediction)]);
  if (content.binary) facts.push(["Label", session.label === null ? "unknown" : `${session.label}`]);
  const parts = [buildBreadcrumbs(...path), buildHeading(`Session ${session.session}`),
    html("div", { class: "card facts" }, ...facts.map(([name, value]) =>
      html("div", {}, html("small", {}, name), html("div", { class: "wrap", "data-fact": name }, value))))];
  parts.push(html("h3", {}, "Steps in order"), buildSignKey(), buildTimeline(session, state.word));
  if (session.regions.length) parts.push(...buildOccludedTable(session));
  if (session.modalities.length) parts.push(...buildModalityTable(session));
  if (session.branches.length) parts.push(...buildBranchTable(session));
  return parts;
}

function buildTimeline(session, markedWord) {
  const shown = content.measures.filter(({ name }) => session[name].some((value) => value !== null));
  const scales = buildScales(shown.map(({ name }) => name), (name) => session[name]);
  const kinds = groupByKind(shown);
  const head = [html("tr", {}, html("th", { scope: "col", rowspan: 2 }, "Step"), ...kinds.map(([kind, list]) =>
    html("th", { scope: "colgroup", colspan: list.length }, `${kind}${getUnit(list[0])}`))),
  html("tr", {}, ...kinds.flatMap(([, list]) => list.map(({ label }) => html("th", { scope: "col" }, label))))];
  const rows = session.step.map((step, position) => {
    const index = session.word[position], word = index === null ? null : content.words[index];
    const name = html("th", { scope: "row", class: "wrap" }, html("span", { class: "index" }, `${step + 1}`),
      word ? ` ${word.word}` : null, word && word.valence ? html("small", {}, word.valence) : null);
    const row = html("tr", markedWord !== null && index === markedWord ? { "aria-current": "true" } : {}, name);
    for (const measure of kinds.flatMap(([, list]) => list)) {
      row.append(buildBarCell(session[measure.name][position], scales[measure.name], measure.name, getShortName(measure)));
    }
    return row;
  });
  return html("div", { class: "frame" }, html("table", { class: "timeline" },
    html("thead", {}, ...head), html("tbody", {}, ...rows)));
}

function buildTable(head, rows) {
  return html("div", { class: "frame" }, html("table", { class: "timeline" },
    html("thead", {}, html("tr", {}, ...head.map((name) => html("th", { scope: "col" }, name)))),
    html("tbody", {}, ...rows)));
}

function buildOccludedTable(session) {
  const scale = buildScale(session.regions.map((row) => row.occlusion), "occlusion");
  const rows = session.regions.map((row) => html("tr", {},
    html("th", { scope: "row" }, getRegionName(row.region), html("small", {}, BRANCHES[row.modality] ?? row.modality)),
    buildBarCell(row.occlusion, scale, "region occlusion", "occlusion")));
  return [html("h3", {}, "Regions of the face"),
    html("p", { class: "soft" }, "The model output with a region minus that with the mean colour of the crop in its " +
      "place, in one step; mean over the steps."),
    buildTable(["Region", `Occlusion${content.binary ? " (logit)" : ""}`], rows)];
}

function buildBranchTable(session) {
  const scale = buildScale(session.branches.map((branch) => branch.logit), "logit");
  const rows = session.branches.map((branch) => html("tr", {},
    html("th", { scope: "row" }, BRANCHES[branch.branch] ?? branch.branch,
      branch.present === false ? html("small", {}, "missing in this session") : null),
    buildBarCell(branch.logit, scale, "logit", "logit"),
    buildBarCell(branch.gate, buildScale([], "selected"), "selected gate", "gate")));
  return [html("h3", {}, "Branches of the model"),
    html("p", { class: "soft" }, "The output of the model is the sum of its branches, each weighted by its gate: the probability, or fixed weight, of the branch. The weight of a missing branch is divided among the others. Gates are learned and the same for all sessions."),
    content.branch_note ? html("p", { class: "notes", "data-field": "branches" }, content.branch_note) : null,
    buildTable(["Branch", "Logit of the branch", "Gate"], rows)];
}

function buildModalityTable(session) {
  const names = session.modalities.map((modality) => BRANCHES[modality.modality] ?? modality.modality);
  const parts = [html("h3", {}, "Modalities"), html("p", {}, `This session has ${names.join(" and ")}.`)];
  const values = session.modalities.map((modality) => modality.shapley ?? null);
  if (values.every((value) => value === null)) return parts;
  const scale = buildScale(values, "shapley");
  const rows = names.map((name, index) => html("tr", {}, html("th", { scope: "row" }, name),
    buildBarCell(values[index], scale, "shapley", "Shapley value")));
  parts.push(buildTable(["Modality", `Shapley value${content.binary ? " (logit)" : ""}`], rows));
  return parts;
}

function getDepth(state) {
  return (state.word !== null) + 2 * (state.session !== null);
}

let previous = null;

function render() {
  const state = readState();
  const build = state.session !== null ? buildSessionView : state.word !== null ? buildWordView : buildOverview;
  const active = document.activeElement?.id;
  view.replaceChildren(...build(state).filter((part) => part !== null));
  const moved = previous !== null && (previous.word !== state.word || previous.session !== state.session);
  if (moved) {
    // going back focuses the link of the closed view, opening a view its heading
    const href = buildHash({ word: previous.word, session: previous.session });
    const left = getDepth(state) < getDepth(previous) && view.querySelector(`tbody a[href="${CSS.escape(href)}"]`);
    (left || view.querySelector("h2")).focus();
    if (!left) scrollTo(0, Math.max(0, view.getBoundingClientRect().top + scrollY - 16));
  } else if (active) {
    document.getElementById(active)?.focus();
  }
  previous = state;
}

view.addEventListener("click", (event) => {
  // a click anywhere in a row follows its link
  if (!event.target.closest("a")) event.target.closest("tbody tr")?.querySelector("th a")?.click();
});

addEventListener("keydown", (event) => {
  if (event.key !== "Escape" || event.target.tagName === "SELECT") return;
  const state = readState();
  if (state.session !== null) location.hash = buildHash({ session: null });
  else if (state.word !== null) location.hash = buildHash({ word: null });
});

addEventListener("hashchange", render);
render();
