// Orders over time: columns by how they were answered, and the same in numbers.

import { clock, element, number, share, write } from "./words.js";

const SVG = "http://www.w3.org/2000/svg";
const SERVED = "served";
const KINDS = 6; // as many colours as the style has for reasons

export class Speed {
  constructor(chart, find) {
    Object.assign(this, { chart, find });
    this.buckets = new Map(); // beginning in Unix seconds -> orders by reason
    this.width = 1;
    this.kinds = new Map(); // reason -> class, given as reasons appear
    find("numbers").addEventListener("toggle", () => this.list());
  }

  take(speed) {
    if (speed.whole) this.buckets.clear();
    this.width = speed.widthSeconds;
    for (const [from, answers] of speed.buckets) this.buckets.set(from, answers);
    write(this.find("perSecond"), number(speed.perSecond));
    this.legend(speed.totals);
    if (speed.whole || speed.buckets.length) {
      this.draw();
      this.list();
    }
  }

  kind(reason) {
    if (!reason) return SERVED;
    if (!this.kinds.has(reason)) this.kinds.set(reason, `reason-${Math.min(this.kinds.size, KINDS - 1)}`);
    return this.kinds.get(reason);
  }

  legend(totals) {
    const all = Object.values(totals).reduce((sum, value) => sum + value, 0);
    const rows = Object.entries(totals).sort((a, b) => (a[0] === "" ? -1 : b[0] === "" ? 1 : b[1] - a[1]));
    const body = this.find("reasons");
    while (body.rows.length > rows.length) body.deleteRow(-1);
    rows.forEach(([reason, orders], place) => {
      const row = body.rows[place] ?? this.row(body);
      row.cells[0].firstChild.className = `key ${this.kind(reason)}`;
      write(row.cells[0].lastChild, reason || "served in full");
      write(row.cells[1], number(orders));
      write(row.cells[2], share(orders, all));
    });
  }

  row(body) {
    const row = body.insertRow();
    const name = element("th");
    name.scope = "row";
    name.append(element("span", "key"), element("span"));
    row.append(name, element("td", "number"), element("td", "number"));
    return row;
  }

  draw() {
    const times = [...this.buckets.keys()].sort((a, b) => a - b);
    if (!times.length) return;
    const [first, last] = [times[0], times[times.length - 1] + this.width];
    const columns = Math.max((last - first) / this.width, 30); // a young sale is not one wide column
    const sums = times.map((time) => Object.values(this.buckets.get(time)).reduce((sum, value) => sum + value, 0));
    const peak = Math.max(...sums);
    this.chart.setAttribute("viewBox", `0 0 ${columns} 100`);
    this.chart.replaceChildren(...times.flatMap((time) => this.column(time, (time - first) / this.width, peak)));
    write(this.find("from"), clock(first * 1000));
    write(this.find("peak"), `peak: ${number(Math.round(peak / this.width))} a second`);
    write(this.find("to"), clock((first + columns * this.width) * 1000));
  }

  column(time, x, peak) {
    let top = 100;
    const answers = this.buckets.get(time);
    return Object.keys(answers).sort().map((reason) => {
      const height = (100 * answers[reason]) / peak;
      top -= height;
      const part = document.createElementNS(SVG, "rect");
      const place = { x: x + 0.05, y: top, width: 0.9, height, class: this.kind(reason) };
      for (const [name, value] of Object.entries(place)) part.setAttribute(name, value);
      return part;
    });
  }

  list() {
    if (!this.find("numbers").open) return;
    const rows = [...this.buckets].sort((a, b) => b[0] - a[0]).map(([from, answers]) => {
      const row = element("tr");
      const all = Object.values(answers).reduce((sum, value) => sum + value, 0);
      const served = answers[""] ?? 0;
      row.append(element("td", "", clock(from * 1000)), element("td", "number", number(served)),
        element("td", "number", number(all - served)));
      return row;
    });
    this.find("buckets").replaceChildren(...rows);
  }
}
