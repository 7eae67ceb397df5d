"use strict";
// A number is a pair [low, high] throughout: equal where it is exact, null where nobody knows it.
const find = (selector, within = document) => within.querySelector(selector);
const make = (tag, text = "", name = "") => Object.assign(document.createElement(tag), { textContent: text, className: name });
const HIDDEN = /(?![\u200c\u200d])[\p{Cc}\p{Cf}\p{Cs}\p{Co}\p{Cn}\p{Zl}\p{Zp}]/gu;
const reveal = text => text.replace(HIDDEN, it => `⟨U+${it.codePointAt(0).toString(16).toUpperCase().padStart(4, "0")}⟩`);
const word = text => make("bdi", reveal(text));

const [WHOLE, FINE, EXACT] = [0, 2, 9].map(digits => new Intl.NumberFormat("en-US", { maximumFractionDigits: digits }));
const count = n => (Math.abs(n) < 100 ? FINE : WHOLE).format(n);
const spell = t => (t === Infinity ? "inf" : EXACT.format(t));
const percent = n => {
  if (n === 0 || n === 1) return `${100 * n}%`;
  if (n > 0.9995 || n < 1e-5) return n < 1e-5 ? "<0.001%" : ">99.9%";
  return n < 0.01 ? `${Number((100 * n).toPrecision(2))}%` : `${(100 * n).toFixed(1)}%`;
};
const scale = (n, units) => units.reduce((best, it) => (n >= it[1] ? it : best));
const rounded = (n, [unit, size]) => `${FINE.format(Number((n / size).toPrecision(3)))} ${unit}`;
const BYTES = [["bytes", 1], ["kB", 1e3], ["MB", 1e6], ["GB", 1e9], ["TB", 1e12], ["PB", 1e15]];
const TIMES = [["s", 1], ["min", 120], ["h", 7200]].map(([unit, from]) => [unit, from, from > 1 ? from / 2 : 1]);
const bytes = n => (n ? `about ${rounded(n, scale(n, BYTES))}` : "0 bytes");
const time = n => (([unit, , size]) => `about ${rounded(n, [unit, size])}`)(scale(n, TIMES));
const passes = n => FINE.format(Number(n.toPrecision(3)));
const show = (range, format) => {
  if (!range) return "unknown";
  const [low, high] = range.map(format);
  return low === high ? low : `${low} to ${high.replace("about ", "")}`;
};

async function unpack(id) {
  const packed = Uint8Array.from(atob(find(id).textContent), it => it.charCodeAt(0));
  const stream = new Blob([packed]).stream().pipeThrough(new DecompressionStream("deflate"));
  return JSON.parse(await new Response(stream).text());
}

const accumulate = column => { let sum = 0; return column.map(n => (sum += n)); };

function prepare(pool) {
  pool.stops = pool.stops.map(t => t ?? Infinity);
  pool.whole = pool.stops.length - 1;
  const columns = ["pairs", "matches", "tail_entries", "tail_matches", "present"];
  for (const name of columns) pool[name] = pool.stops.map(() => 0);
  for (const language of Object.values(pool.languages)) {
    language.t = language.t.map(t => t ?? Infinity);
    for (const name of columns) language[name] = accumulate(language[name]);
    for (const name of columns) language[name].forEach((n, stop) => (pool[name][stop] += n));
  }
  for (const name of ["images", "to_fetch"]) pool[name] = accumulate(pool[name]);
  pool.total = Object.fromEntries([...columns, "images"].map(name => [name, pool[name][pool.whole]]));
  return pool;
}

// Where t stands on a logarithmic axis, from 0 at 1 to 1 at the last stop before inf, with inf just beyond.
const INFINITE = 1.02;
function place(pool, t) {
  const last = Math.log(pool.stops[pool.whole - 1] ?? 1) || 1;
  return t === Infinity ? INFINITE : Math.min(1, Math.max(0, Math.log(t) / last));
}

// The stops between which t lies, or twice the one that it is.
function locate(pool, t) {
  const above = pool.stops.findIndex(stop => stop >= t);
  return pool.stops[above] === t ? [above, above] : [above - 1, above];
}
function nearest(pool, position) {
  const above = pool.stops.findIndex(t => place(pool, t) >= position), places = [above - 1, above].map(i => place(pool, pool.stops[i] ?? 1));
  return above < 0 ? pool.whole : above && position - places[0] < places[1] - position ? above - 1 : above;
}
const STEPS = 1000, MOST_FOUND = 25;
const at = (column, [low, high]) => [low < 0 ? 0 : column[low], column[high]];
const over = (range, whole) => (whole ? range.map(n => n / whole) : null);
const times = (range, factor) => (factor === null ? null : range.map(n => n * factor));
const less = ([low, high], [otherLow, otherHigh]) => [low - otherHigh, high - otherLow];

function shareOfHead({ pool, stops }) {
  const kept = at(pool.matches, stops), tail = at(pool.tail_matches, stops);
  return kept[0] ? [Math.max(0, 1 - tail[1] / kept[0]), Math.max(0, 1 - tail[0] / kept[1])] : kept[1] ? [0, 1] : null;
}

function listRows(pools) {
  const column = name => ({ pool, stops }) => at(pool[name], stops);
  const rest = (name, side) => less([side.pool.total[name], side.pool.total[name]], column(name)(side));
  const rows = [
    ["Pairs kept, |D(t)|", column("pairs"), count],
    ["Share of the pool’s pairs", side => over(column("pairs")(side), side.pool.total.pairs), percent],
    ["Entries in the head, thinned", side => rest("tail_entries", side), count],
    ["Entries in the tail, kept whole", column("tail_entries"), count, true],
    ["Entries with at least one pair", column("present"), count, true],
    ["Matches kept", column("matches"), count],
    ["The head’s share of matches, before", side => over(rest("tail_matches", side), side.pool.total.matches), percent],
    ["The head’s share of matches, after", shareOfHead, percent],
    ["The tail’s share of matches, after", side => (r => r && less([1, 1], r))(shareOfHead(side)), percent],
    ["Images", column("images"), count],
    ["Images to fetch", column("to_fetch"), count],
    ["Bytes to fetch", side => times(column("to_fetch")(side), side.pool.bytes_an_image), bytes],
  ];
  const trained = [...new Set(pools.flatMap(pool => pool.training.architectures.map(it => it.architecture)))];
  const seconds = ({ pool }, name) => pool.training.architectures.find(it => it.architecture === name)?.seconds_a_pair ?? null;
  const toSee = side => side.pool.training.pairs_to_see, seen = new Set(pools.map(it => count(it.training.pairs_to_see)));
  rows.push([
    `Passes over its images in ${[...seen].join(" or ")} pairs seen`,
    side => (images => (images[0] ? [toSee(side) / images[1], toSee(side) / images[0]] : null))(column("images")(side)),
    passes,
  ]);
  for (const name of trained) {
    rows.push([`Time to train ${name} on as many pairs`, side => times([toSee(side), toSee(side)], seconds(side, name)), time]);
    rows.push([`Time for one pass, ${name}`, side => times(column("images")(side), seconds(side, name)), time]);
  }
  return rows;
}

// Of one pool and t each is what the other is, whatever that is between two stops.
function spellDifference(one, other, format, isEntries, isSame) {
  if (!one || !other) return "unknown";
  const difference = isSame ? [0, 0] : less(one, other);
  const unit = format === percent ? " points" : "";
  const size = n => (format === percent ? (100 * n).toFixed(1) : format(n)).replace("about ", "");
  const signed = n => (n ? `${n > 0 ? "+" : "−"}${size(Math.abs(n))}` : "0");
  const won = isEntries && difference[0] > 0 ? " won" : isEntries && difference[1] < 0 ? " lost" : "";
  return show(difference, signed) + unit + won;
}

function addRow(body, heading, numCells) {
  const row = body.insertRow(), head = row.appendChild(make("th"));
  head.scope = "row";
  head.append(heading);
  return Array.from({ length: numCells }, () => Object.assign(row.insertCell(), { className: "n" }));
}

function draw(svg, sides) {
  const x = (pool, t) => (place(pool, t) * 865 + 10).toFixed(1), drawn = new Set(sides.map(side => side.pool));
  const add = (tag, name, attributes) => {
    const element = svg.appendChild(document.createElementNS("http://www.w3.org/2000/svg", tag));
    for (const [key, value] of Object.entries({ class: name, ...attributes })) element.setAttribute(key, value);
  };
  svg.replaceChildren();
  [...drawn].forEach((pool, number) => {
    const points = pool.stops.map((t, stop) => `${x(pool, t)},${(210 - (200 * pool.pairs[stop]) / (pool.total.pairs || 1)).toFixed(1)}`);
    add("polyline", `pool-${number}`, { points: points.join(" ") });
  });
  const upright = (name, at, y1, y2) => add("line", name, { x1: at, x2: at, y1, y2 });
  for (const stop of Object.values(sides[0].pool.rungs)) upright("rung", x(sides[0].pool, sides[0].pool.stops[stop]), 206, 214);
  sides.forEach((_, i) => upright("ab"[i], 0, 6, 210));
}

function mark(svg, sides) {
  sides.forEach((side, i) => find(`.${"ab"[i]}`, svg).setAttribute("transform", `translate(${place(side.pool, side.t) * 865 + 10})`));
}

function readEntries(packed) {
  let before = "", end = 0;
  const texts = packed.words.split("\n").map((rest, i) => (before = before.slice(0, packed.shared[i]) + rest));
  if (!packed.count.length) texts.length = 0;
  const language = packed.languages.flatMap(([name, number]) => Array(number).fill(name));
  const lower = texts.map(text => text.toLowerCase()), ends = Uint32Array.from(lower, text => (end += text.length + 1));
  return { ...packed, texts, lines: lower.join("\n"), ends, language, balancedTo: packed.balanced_to ?? packed.count };
}

// What the rungs but the last keep of each entry: all, unless it is above its language's t, where the list says it.
function spreadKept(entries, pool) {
  const rungs = Object.values(pool.rungs);
  return entries.kept.map((list, rung) => {
    let next = 0;
    const isHead = i => entries.balancedTo[i] > pool.languages[entries.language[i]].t[rungs[rung]] && entries.count[i];
    return Float64Array.from(entries.count, (all, i) => (isHead(i) ? list[next++] : all));
  });
}

// The line in which a character stands, by the ends of all lines.
function findLine(ends, place) {
  let [low, high] = [0, ends.length - 1];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (ends[middle] > place) high = middle;
    else low = middle + 1;
  }
  return low;
}

// First what is spelled just so, then what begins so and what holds it, the most frequent first; what has no pair last.
function search({ lines, ends, texts, count }, asked) {
  const found = [], sought = asked.toLowerCase();
  for (let place = lines.indexOf(sought); place >= 0; place = lines.indexOf(sought, ends[found.at(-1).i])) {
    const i = findLine(ends, place);
    found.push({ i, kind: texts[i] === asked ? 0 : (place === (i && ends[i - 1]) ? 1 : 2) + (count[i] ? 0 : 2) });
    if (ends[i] > lines.length) break;
  }
  return found.sort((a, b) => a.kind - b.kind || count[b.i] - count[a.i]).map(it => it.i);
}

async function main() {
  const bins = await unpack("#bins-packed"), pools = bins.pools.map(prepare), [pool] = pools;
  const rows = listRows(pools), shown = new Map();
  JSON.parse(find("#examples").textContent).forEach((example, i) => {
    shown.set(`${example.language}\n${example.entry}`, { ...example, kept: accumulate(bins.joining[i]) });
  });
  const rungs = Object.values(pool.rungs), start = [rungs[0], rungs.length > 2 ? rungs.at(-2) : rungs.at(-1)];
  const sides = ["#a", "#b"].map((id, i) => ({ box: find(id), pool, t: pool.stops[start[i]], stops: [start[i], start[i]] }));
  const cells = rows.map(([name]) => addRow(find("#kept tbody"), name, 3));
  const names = [...new Set(pools.flatMap(it => Object.keys(it.languages)))];
  const ofLanguages = names.map(name => addRow(find("#languages tbody"), word(name), 6));
  let entries = null, kept = null, chosen = null, speaking = 0;

  const keyOf = i => `${entries.language[i]}\n${entries.texts[i]}`;

  function keptAt(i, stop, end) {
    const all = entries.count[i], held = pool.languages[entries.language[i]].t, example = shown.get(keyOf(i));
    if (stop < 0 || !all) return 0;
    if (entries.balancedTo[i] <= held[stop]) return all;
    if (example) return example.kept[stop];
    const rung = end ? rungs.findIndex(it => it >= stop) : rungs.findLastIndex(it => it <= stop);
    return rung < 0 ? 0 : rung < kept.length ? kept[rung][i] : all;
  }

  function showEntry() {
    if (chosen === null) return;
    find("#entry .numbers").replaceChildren(...sides.flatMap((side, number) => {
      const [low, high] = side.stops, range = side.pool === pool ? [keptAt(chosen, low, 0), keptAt(chosen, high, 1)] : null;
      const held = side.pool === pool ? at(pool.languages[entries.language[chosen]].t, side.stops) : [Infinity, Infinity];
      const part = !range ? "" : !entries.count[chosen] ? ": no pair of the pool matches it" : entries.balancedTo[chosen] > held[1] ? ", in the head" : entries.balancedTo[chosen] <= held[0] ? ", in the tail" : "";
      const what = `Kept at ${number ? "the other" : "this"} t, ${spell(side.t)}`;
      return [make("dt", what), make("dd", range ? show(range, count) + part : "known of this pool alone")];
    }), make("dt", "Pairs in the pool"), make("dd", count(entries.count[chosen])));
    for (const item of document.querySelectorAll("#entry li")) {
      const stop = Number(item.dataset.stop), [low, high] = sides[0].stops;
      find(".in", item).textContent = `${stop <= low ? "Kept" : stop > high ? "Left out" : "Perhaps kept"} at this t; kept from t = ${spell(pool.stops[stop])} on`;
      item.classList.toggle("out", stop > high);
    }
  }

  function openEntry(i) {
    chosen = i;
    const example = shown.get(keyOf(i)), box = find("#entry"), isBlurred = box.dataset.mode === "blurred";
    const title = make("h3"), gallery = make("ul", "", isBlurred ? "gallery blurred" : "gallery");
    title.append(word(entries.texts[i]), ` (${reveal(entries.language[i])})`);
    for (const pair of example?.pairs ?? []) {
      const item = gallery.appendChild(make("li")), text = make("span");
      item.dataset.stop = pair.stop;
      if (pair.thumbnail) {
        item.append(Object.assign(make("img"), { src: `data:image/jpeg;base64,${pair.thumbnail}`, alt: pair.text.slice(0, 80) }));
        if (isBlurred) item.tabIndex = 0;
      } else if ("thumbnail" in pair) item.append(make("span", "no picture", "none"));
      text.append(word(pair.text));
      item.append(text, make("span", "", "in"), make("small", "score" in pair ? `NSFW ${FINE.format(pair.score)}` : ""), make("small", pair.url));
    }
    const without = make("p", "", "note");
    if (!example) without.append("No pairs of this entry are in the page: ", make("code", "metaclip explain entry"), " finds them.");
    box.replaceChildren(title, make("dl", "", "numbers"), without, gallery);
    showEntry();
    box.focus();
  }

  function update() {
    const [a, b] = sides;
    rows.forEach(([, ask, format, isEntries], row) => {
      const values = sides.map(ask);
      values.forEach((value, i) => (cells[row][i].textContent = show(value, format)));
      cells[row][2].textContent = spellDifference(...values, format, isEntries && a.pool === b.pool, a.pool === b.pool && a.t === b.t);
    });
    names.forEach((name, row) => sides.forEach((side, i) => {
      const language = side.pool.languages[name], own = ofLanguages[row].slice(3 * i, 3 * i + 3);
      const pairs = language && at(language.pairs, side.stops);
      own[0].textContent = language ? show(at(language.t, side.stops), spell) : "–";
      own[1].textContent = language ? show(pairs, count) : "–";
      own[2].textContent = language && language.pairs[side.pool.whole] ? show(over(pairs, language.pairs[side.pool.whole]), percent) : "–";
    }));
    mark(find("#curve"), sides);
    showEntry();
    clearTimeout(speaking);
    const says = sides.map((side, i) => `${i ? "the other t" : "This t"}, ${spell(side.t)}: ${show(at(side.pool.pairs, side.stops), count)} pairs`);
    speaking = setTimeout(() => (find("#said").textContent = says.join("; ") + "."), 400);
  }

  function choose(side, t) {
    Object.assign(side, { t, stops: locate(side.pool, t) });
    const [low, high] = side.stops, slider = find(".slider", side.box), rung = Object.keys(side.pool.rungs).find(it => side.pool.rungs[it] === low && low === high);
    slider.value = side.at = Math.round(STEPS * place(side.pool, t));
    slider.setAttribute("aria-valuetext", `t = ${spell(t)}${rung ? ", a rung" : ""}`);
    find(".typed", side.box).value = spell(t);
    find(".typed", side.box).removeAttribute("aria-invalid");
    const between = low < 0 ? `below the first stop, ${spell(side.pool.stops[0])}` : `between the stops ${spell(side.pool.stops[low])} and ${spell(side.pool.stops[high])}`;
    find(".exact", side.box).textContent = low === high ? `${rung ? "A rung of the deployment: exact" : "A stop: exact"}.` : `${spell(t)} lies ${between}: the truth lies between two numbers.`;
    for (const button of side.box.querySelectorAll(".rungs button")) button.setAttribute("aria-pressed", String(button.dataset.t === rung));
  }

  for (const side of sides) {
    const typed = find(".typed", side.box), slider = find(".slider", side.box), select = find(".pool", side.box);
    const listRungs = () => find(".rungs", side.box).replaceChildren(...Object.entries(side.pool.rungs).map(([t, stop]) => {
      const button = Object.assign(make("button", t), { type: "button", onclick: () => (choose(side, side.pool.stops[stop]), update()) });
      button.dataset.t = t;
      return button;
    }));
    slider.max = STEPS * INFINITE;
    slider.addEventListener("input", () => {
      const way = Math.sign(slider.value - side.at), near = nearest(side.pool, slider.value / STEPS), here = side.stops[way > 0 ? 0 : 1];
      choose(side, side.pool.stops[way * (near - here) > 0 ? near : Math.max(0, Math.min(side.pool.whole, here + way))]);
      update();
    });
    typed.addEventListener("change", () => {
      const text = typed.value.replace(/[\s,_]/g, "").toLowerCase(), t = text === "inf" ? Infinity : /^\d*\.?\d+(e\d+)?$/i.test(text) ? Number(text) : 0;
      if (t > 0) return choose(side, t), update();
      typed.setAttribute("aria-invalid", "true");
      clearTimeout(speaking);
      find("#said").textContent = find(".exact", side.box).textContent = "t is a number above 0, or inf.";
    });
    select?.addEventListener("change", () => ((side.pool = pools[select.value]), listRungs(), choose(side, side.t), draw(find("#curve"), sides), update()));
    listRungs();
    choose(side, side.t);
  }
  draw(find("#curve"), sides);
  update();

  entries = readEntries(await unpack("#entries-packed"));
  kept = spreadKept(entries, pool);
  const query = find("#query"), results = find("#results");
  query.disabled = false;
  find("#found").textContent = `${count(entries.texts.length)} entries. Type a part of one.`;
  query.addEventListener("input", () => {
    const found = query.value ? search(entries, query.value) : [];
    results.replaceChildren(...found.slice(0, MOST_FOUND).map(i => {
      const button = Object.assign(make("button"), { type: "button", onclick: () => openEntry(i) }), item = make("li");
      button.append(word(entries.texts[i]), make("small", ` ${count(entries.count[i])}${names.length > 1 ? `, ${reveal(entries.language[i])}` : ""}`));
      item.append(button);
      return item;
    }));
    find("#found").textContent = query.value ? found.length === 1 ? "One entry holds it; its pairs in the pool stand beside it." : `${found.length > MOST_FOUND ? `The first ${MOST_FOUND} of ${count(found.length)}` : found.length || "No"} entries that hold it, with their pairs in the pool.` : "";
  });
  const step = { ArrowDown: 1, ArrowUp: -1 };
  find("#search").addEventListener("keydown", event => {
    const stops = [query, ...results.querySelectorAll("button")], here = stops.indexOf(document.activeElement);
    if (here < 0 || !(event.key in step)) return;
    event.preventDefault();
    stops[Math.max(0, Math.min(stops.length - 1, here + step[event.key]))].focus();
  });
  document.body.dataset.ready = "yes";
}

main().catch(error => (find("#found").textContent = `This page cannot be worked: ${error}. It wants a browser of 2023 or later.`));
