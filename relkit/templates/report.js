"use strict";
(() => {
  const PAGE = 50;
  const LONGEST_ROW = 4;
  const KINDS = ["substitution", "deletion", "insertion"];
  const byId = (id) => document.getElementById(id);
  const json = (id) => JSON.parse(byId(id).textContent);

  // Text from data only ever becomes a text node; nothing here parses markup.
  const make = (name, className, ...children) => {
    const node = document.createElement(name);
    if (className) node.className = className;
    node.append(...children);
    return node;
  };
  const data = (value) => make("bdi", "", String(value));
  const plural = (count, one) => `${count.toLocaleString("en")} ${one}${count === 1 ? "" : "s"}`;

  for (const node of document.querySelectorAll(".tools, .pick, .find")) node.hidden = false;

  /* The plot of another metric */
  const metric = byId("metric");
  if (metric) {
    const plots = [...document.querySelectorAll("#slices .forest")];
    const show = () => plots.forEach((plot, i) => { plot.hidden = i !== metric.selectedIndex; });
    metric.addEventListener("change", show);
    show();
  }

  /* The slice table: sorted by any column, filtered by text and column */
  const sliceTable = () => {
    const table = byId("slice-table");
    if (!table) return;
    const body = table.tBodies[0];
    const rows = [...body.rows];
    const heads = [...table.tHead.rows[0].cells];
    const collator = new Intl.Collator("en", { numeric: true });
    const number = (row, column) => {
      const text = row.cells[column].dataset.v;
      return text === "" ? NaN : Number(text);
    };
    const sort = (column, descending) => {
      const textual = heads[column].dataset.sort === "text";
      const sign = descending ? -1 : 1;
      rows.sort((one, two) => {
        if (textual) return sign * collator.compare(one.dataset.key, two.dataset.key);
        const a = number(one, column), b = number(two, column);
        if (Number.isNaN(a) || Number.isNaN(b)) return Number.isNaN(a) - Number.isNaN(b);
        return sign * (a - b);
      });
      body.append(...rows);
      heads.forEach((head, i) => {
        if (i === column) head.setAttribute("aria-sort", descending ? "descending" : "ascending");
        else head.removeAttribute("aria-sort");
      });
    };
    heads.forEach((head, column) => {
      const button = make("button", "sort", ...head.childNodes);
      button.type = "button";
      head.append(button);
      button.addEventListener("click", () => {
        const before = head.getAttribute("aria-sort");
        sort(column, before ? before === "ascending" : head.dataset.sort === "number");
      });
    });
    const filter = byId("slice-filter"), column = byId("slice-column"), count = byId("slice-count");
    const show = () => {
      const words = filter.value.toLowerCase().split(/\s+/).filter(Boolean);
      let shown = 0;
      for (const row of rows) {
        const text = row.cells[0].textContent.toLowerCase();
        const columns = row.dataset.columns.split(" ");
        row.hidden = !words.every((word) => text.includes(word))
          || (column.value !== "" && !columns.includes(column.value));
        shown += !row.hidden;
      }
      count.textContent = `${shown} of ${plural(rows.length, "slice")}`;
    };
    filter.addEventListener("input", show);
    column.addEventListener("change", show);
    show();
  };
  sliceTable();

  /* The error explorer */
  const all = json("data");
  const size = all.id.length;
  const withText = Boolean(all.ref);
  const list = byId("utterances");
  const controls = ["search", "kind", "where", "order"].map(byId);
  const [search, kind, where, order] = controls;
  const state = { found: [], start: 0, picked: null };
  let clips = null;

  const errors = (i) => (all.counts[i] ? all.counts[i][1] + all.counts[i][2] + all.counts[i][3] : -1);
  const unsafe = (i) => (all.unsafe ? all.unsafe[i] : "");
  const words = (i) => (all.counts[i] ? all.counts[i][0] + all.counts[i][1] + all.counts[i][2] : 0);
  const named = (column, i) => (column.at[i] < 0 ? null : column.names[column.at[i]]);

  const edits = (i) => {
    const flat = all.edits[i], found = [];
    for (let at = 0; at < flat.length;) {
      const deletion = flat[at] === 1;
      found.push({ kind: flat[at], place: flat[at + 1], given: deletion ? null : flat[at + 2] });
      at += deletion ? 2 : 3;
    }
    return found;
  };
  const reference = (i) => (all.ref[i] ? all.ref[i].split(" ") : []);

  /* Reference and hypothesis side by side: [kind or null, expected, given] */
  const aligned = (i) => {
    const tokens = reference(i), pairs = [];
    let at = 0;
    const hits = (until) => { for (; at < until; at += 1) pairs.push([null, tokens[at], tokens[at]]); };
    for (const edit of edits(i)) {
      hits(edit.place);
      pairs.push([edit.kind, edit.kind === 2 ? null : tokens[edit.place], edit.given]);
      if (edit.kind !== 2) at += 1;
    }
    hits(tokens.length);
    return pairs;
  };

  let texts = null;
  const searchable = (i) => {
    if (!texts) {
      texts = all.id.map((id, row) => {
        if (!withText || all.ref[row] === null) return id.toLowerCase();
        const given = aligned(row).map((pair) => pair[2]).filter((token) => token !== null).join(" ");
        return [id, all.ref[row], given, ...(all.raw[row] || [])].join("\n").toLowerCase();
      });
    }
    return texts[i];
  };

  const shows = {
    all: () => true,
    errors: (i) => errors(i) > 0 || unsafe(i),
    substitution: (i) => all.counts[i] && all.counts[i][1] > 0,
    deletion: (i) => all.counts[i] && all.counts[i][2] > 0,
    insertion: (i) => all.counts[i] && all.counts[i][3] > 0,
    failure: (i) => all.failure.at[i] >= 0,
    unusable: (i) => all.unusable.at[i] >= 0,
    runaway: (i) => all.flags[i] > 0,
  };
  const missing = (value) => (value === null ? -Infinity : value);
  const orders = {
    errors: (a, b) => errors(b) - errors(a) || a - b,
    rate: (a, b) => errors(b) / Math.max(1, words(b)) - errors(a) / Math.max(1, words(a)) || a - b,
    latency: (a, b) => missing(all.latency[b]) - missing(all.latency[a]) || a - b,
    longest: (a, b) => missing(all.duration[b]) - missing(all.duration[a]) || a - b,
    id: (a, b) => (all.id[a] < all.id[b] ? -1 : all.id[a] > all.id[b] ? 1 : a - b),
  };
  const isPicked = (i) => {
    const picked = state.picked;
    if (!picked) return true;
    if (all.failure.at[i] >= 0 || !all.ref[i] && picked.kind !== 2) return false;
    const tokens = reference(i);
    return edits(i).some((edit) => edit.kind === picked.kind
      && (edit.kind === 2 || tokens[edit.place] === picked.expected)
      && (edit.kind === 1 || edit.given === picked.given));
  };

  const find = () => {
    const wanted = search.value.toLowerCase().trim();
    const [column, value] = where.value === "" ? [-1, -1] : where.value.split(":").map(Number);
    const shown = shows[kind.value];
    state.found = [];
    for (let i = 0; i < size; i += 1) {
      if (shown(i) && (column < 0 || all.slices[column].at[i] === value)
        && (!wanted || searchable(i).includes(wanted)) && isPicked(i)) state.found.push(i);
    }
    state.found.sort(orders[order.value]);
    state.start = 0;
    show();
  };

  /* A loop inserts one word hundreds of times: [pair, how often in a row] */
  const toldOnce = (pairs) => {
    const found = [];
    for (const pair of pairs) {
      const last = found.at(-1);
      if (last && pair[0] === 2 && last[0][0] === 2 && last[0][2] === pair[2]) last[1] += 1;
      else found.push([pair, 1]);
    }
    return found.flatMap(([pair, times]) => (
      times > LONGEST_ROW ? [[...pair, times]] : Array(times).fill([...pair, 1])));
  };

  const alignment = (i) => {
    const rows = make("ol", "align");
    if (all.rtl.includes(i)) rows.dir = "rtl";
    rows.append(make("li", "side", make("span", "", "expected"), make("span", "", "given")));
    for (const [code, expected, given, times] of toldOnce(aligned(i))) {
      const name = code === null ? "hit" : KINDS[code];
      const item = make("li", name);
      if (code !== null) item.append(make("span", "hide", `${name}: `));
      item.append(make("span", "r", expected === null ? "·" : data(expected)));
      item.append(make("span", "h", given === null ? "·" : data(given)));
      if (times > 1) item.lastChild.append(make("span", "times", ` × ${times}`));
      rows.append(item);
    }
    return rows;
  };

  const facts = (i) => {
    const line = make("p", "facts");
    const counts = all.counts[i];
    const said = [];
    if (counts) said.push(`${counts[1]} substituted, ${counts[2]} deleted, ${counts[3]} inserted.`);
    if (named(all.failure, i)) said.push(`Failed: ${named(all.failure, i)}.`);
    if (named(all.unusable, i)) said.push(`Unusable: ${named(all.unusable, i)}.`);
    if (all.flags[i] & 1) said.push("Runaway.");
    if (all.flags[i] & 2) said.push("Repetition loop.");
    if (all.latency[i] !== null) said.push(`Latency ${all.latency[i]} ms.`);
    if (all.duration[i] !== null) said.push(`Audio ${all.duration[i]} s.`);
    for (const [name, values] of Object.entries(all.measures)) {
      if (values[i] !== null) said.push(`${name} ${values[i]}.`);
    }
    line.append(said.join(" "), " ");
    for (const slice of all.slices) {
      const value = named(slice, i);
      if (value !== null) line.append(make("span", "chip", data(slice.column), "=", data(value)), " ");
    }
    return line;
  };

  const asWritten = (i) => {
    const [said, heard = said] = all.raw[i];
    const rows = make("dl", "said");
    rows.append(make("dt", "", "reference"), make("dd", "", data(said)));
    rows.append(make("dt", "", "hypothesis"), make("dd", "", heard === null ? "no answer" : data(heard)));
    return rows;
  };

  const player = (i) => {
    if (clips === null) clips = byId("audio") ? json("audio") : { clips: {} };
    if (!Object.hasOwn(clips.clips, all.id[i])) return [];
    const audio = make("audio");
    audio.controls = true;
    audio.preload = "none";
    audio.src = `data:${clips.type};base64,${clips.clips[all.id[i]]}`;
    return [audio];
  };

  // The recording of a conversation is read when its timeline is opened.
  for (const player of document.querySelectorAll("audio[data-clip]")) {
    player.closest("details").addEventListener("toggle", () => {
      if (clips === null) clips = byId("audio") ? json("audio") : { clips: {} };
      const held = Object.hasOwn(clips.clips, player.dataset.clip);
      if (held && !player.src) player.src = `data:${clips.type};base64,${clips.clips[player.dataset.clip]}`;
    });
  }

  const utterance = (i) => {
    const id = make("span", "id", data(all.id[i]));
    const tally = make("span", "tally");
    if (all.counts[i] && !words(i) && !errors(i)) tally.append("");
    else if (all.counts[i]) tally.append(make("b", "", String(errors(i))), ` / ${plural(words(i), "word")}`);
    else tally.append(`unusable: ${named(all.unusable, i)}`);
    const summary = make("summary", "", id);
    if (all.repeat && all.repeat[i]) summary.append(make("span", "light", `repeat ${all.repeat[i]}`));
    if (named(all.failure, i)) summary.append(make("span", "chip", `failed: ${named(all.failure, i)}`));
    if (unsafe(i)) summary.append(make("span", "chip", unsafe(i)));
    if (all.flags[i]) summary.append(make("span", "chip", all.flags[i] & 1 ? "runaway" : "loop"));
    if (withText && all.ref[i] !== null) {
      summary.append(make("span", "peek", data(all.raw[i] ? all.raw[i][0] : all.ref[i])));
    }
    summary.append(tally);
    const details = make("details", "", summary);
    details.addEventListener("toggle", () => {
      if (!details.open || details.dataset.filled) return;
      details.dataset.filled = "yes";
      if (withText && all.ref[i] !== null) details.append(alignment(i));
      if (withText && all.raw[i]) details.append(asWritten(i));
      details.append(...player(i), facts(i));
    });
    return make("li", "utt", details);
  };

  const show = () => {
    const end = Math.min(state.found.length, state.start + PAGE);
    list.replaceChildren(...state.found.slice(state.start, end).map(utterance));
    byId("found").textContent = `${plural(state.found.length, "utterance")} of ${size.toLocaleString("en")}`;
    byId("pages").hidden = state.found.length <= PAGE;
    byId("at").textContent = `${state.start + 1}\u2013${end}`;
    byId("back").disabled = state.start === 0;
    byId("next").disabled = end === state.found.length;
  };
  const turn = (by) => {
    state.start += by;
    show();
    byId("h-utterances").scrollIntoView();
  };

  const pick = (picked) => {
    state.picked = picked;
    const line = byId("picked");
    line.hidden = picked === null;
    line.replaceChildren();
    if (picked) {
      const clear = make("button", "", "show all");
      clear.type = "button";
      clear.addEventListener("click", () => pick(null));
      line.append(`Only with this ${KINDS[picked.kind]}: `);
      if (picked.kind !== 2) line.append(make("b", "", data(picked.expected)));
      if (picked.kind === 0) line.append(" taken for ");
      if (picked.kind !== 1) line.append(make("b", "", data(picked.given)));
      line.append(clear);
    }
    find();
  };

  all.slices.forEach((slice, column) => {
    const group = make("optgroup");
    group.label = slice.column;
    slice.names.forEach((name, value) => {
      const option = make("option", "", name);
      option.value = `${column}:${value}`;
      group.append(option);
    });
    where.append(group);
  });
  byId("explorer-tools").addEventListener("submit", (event) => event.preventDefault());
  search.addEventListener("input", find);
  for (const control of [kind, where, order]) control.addEventListener("change", find);
  byId("back").addEventListener("click", () => turn(-PAGE));
  byId("next").addEventListener("click", () => turn(PAGE));
  for (const button of document.querySelectorAll(".find")) {
    button.addEventListener("click", () => {
      const { kind: name, expected, given } = button.dataset;
      pick({ kind: KINDS.indexOf(name), expected, given });
      byId("h-utterances").scrollIntoView();
    });
  }
  if (!state.found.length && !all.counts.some((_, i) => errors(i) > 0)) kind.value = "all";
  find();
})();
