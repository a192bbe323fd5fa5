// The table of SKUs: one row each, changed in place, sorted and filtered here.

import { STATES, bar, element, number, write } from "./words.js";

const COLUMNS = ["left", "consumed", "state", "reserved", "released", "rejectedUnits", "rejectedOrders", "cancelled", "held", "drift"];
const isNumber = (name) => name !== "state";
const MOST_ROWS = 1000; // more only on request: a browser needs a second for ten thousand
const OVER = ["CLOSED", "REJECTED"];
const SHOWS = {
  all: () => true,
  problem: (line) => line.problem !== "",
  "on-sale": (line) => !OVER.includes(line.status) && line.left > 0,
  "sold-out": (line) => line.isSoldOut,
  over: (line) => OVER.includes(line.status),
};

/** Problems first, then what is nearest to being sold out, then what is over. */
function urgency(line) {
  if (line.problem) return -2;
  if (OVER.includes(line.status)) return 3;
  return line.isSoldOut ? 2 : line.left / Math.max(line.reserved, 1);
}

function whole(given) {
  const line = { status: "", problem: "", remedy: "", waitsFor: "", ...given };
  for (const name of COLUMNS.filter(isNumber)) line[name] ??= 0;
  line.left = Math.max(0, line.reserved - line.consumed - line.released);
  line.isSoldOut = line.reserved > 0 && line.consumed >= line.reserved;
  line.urgency = urgency(line);
  return line;
}

export class Lines {
  constructor(find) {
    this.find = find;
    this.lines = new Map();
    this.rows = new Map();
    this.by = "urgency";
    this.ascending = true;
    this.most = MOST_ROWS;
    this.names = new Intl.Collator("en", { numeric: true });
    find("controls").addEventListener("submit", (event) => event.preventDefault());
    find("find").addEventListener("input", () => this.arrange());
    find("show").addEventListener("change", () => this.arrange());
    find("more").addEventListener("click", () => this.showAll());
    for (const button of document.querySelectorAll("#lines thead button")) {
      button.addEventListener("click", () => this.sort(button.dataset.by));
    }
  }

  take(lines, isWhole) {
    if (isWhole) this.lines.clear();
    for (const given of lines) {
      const line = whole(given);
      this.lines.set(line.sku, line);
      if (this.rows.has(line.sku)) this.fill(this.rows.get(line.sku), line);
    }
    if (lines.length || isWhole) this.arrange();
  }

  troubled() {
    return [...this.lines.values()].filter((line) => line.problem).sort((a, b) => this.compare(a, b));
  }

  sort(by) {
    this.ascending = this.by === by ? !this.ascending : by === "sku" || by === "urgency" || by === "left";
    this.by = by;
    for (const button of document.querySelectorAll("#lines thead button")) {
      const isThis = button.dataset.by === by;
      button.closest("th").ariaSort = isThis ? (this.ascending ? "ascending" : "descending") : "none";
    }
    this.arrange();
  }

  showAll() {
    this.most = Infinity;
    this.arrange();
  }

  compare(a, b) {
    const order = this.by === "sku" ? 0 : a[this.by] - b[this.by];
    return (this.ascending ? 1 : -1) * (order || (this.by === "sku" && this.names.compare(a.sku, b.sku)))
      || this.names.compare(a.sku, b.sku);
  }

  /** Put the rows that are wanted into order; those that stand right already are not touched. */
  arrange() {
    const wanted = this.find("find").value.trim().toLowerCase();
    const isShown = SHOWS[this.find("show").value];
    const found = [...this.lines.values()].filter(
      (line) => isShown(line) && (!wanted || `${line.sku} ${line.problem}`.toLowerCase().includes(wanted)));
    const lines = found.sort((a, b) => this.compare(a, b)).slice(0, this.most);
    const body = this.find("rows");
    const kept = new Set(lines.map((line) => line.sku));
    for (const [sku, row] of this.rows) {
      if (!kept.has(sku)) {
        row.remove();
        this.rows.delete(sku);
      }
    }
    let next = body.firstElementChild;
    for (const line of lines) {
      const row = this.rows.get(line.sku) ?? this.made(line);
      if (row === next) next = next.nextElementSibling;
      else body.insertBefore(row, next);
    }
    const [shown, all] = [number(lines.length), number(this.lines.size)];
    write(this.find("shown"), `${shown} of ${all} SKUs`);
    this.find("more").hidden = lines.length === found.length;
  }

  made(line) {
    const row = element("tr");
    const name = element("th");
    name.scope = "row";
    const units = element("div", "bar");
    units.ariaHidden = "true";
    name.append(element("span", "name", line.sku), units);
    row.append(name, ...COLUMNS.map((column) => element("td", isNumber(column) ? "number" : "state")));
    this.rows.set(line.sku, row);
    this.fill(row, line);
    return row;
  }

  fill(row, line) {
    const kind = line.problem ? "problem" : line.isSoldOut ? "sold-out" : OVER.includes(line.status) ? "over" : "";
    if (row.className !== kind) row.className = kind;
    bar(row.querySelector(".bar"), line);
    const state = line.isSoldOut && !OVER.includes(line.status) ? "sold out" : STATES[line.status] ?? line.status;
    const told = line.problem ? `${state}. ${line.problem}` : state;
    COLUMNS.forEach((name, place) => {
      write(row.cells[place + 1], isNumber(name) ? number(line[name]) : told);
    });
  }
}
