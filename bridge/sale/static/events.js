// The connection: server-sent events, which come again by themselves whatever happens to the bridge.

import { write } from "./words.js";

const SILENCE = 45_000; // the bridge says something every 15 seconds
const AGAIN = 3_000;

export class Events {
  /** `taken(content, isWhole)` gets every event; `ends` is when the link ends, in Unix seconds. */
  constructor(url, node, taken, ends = 0) {
    Object.assign(this, { url, node, taken, ends });
    this.offset = 0; // the bridge's clock minus ours, in milliseconds
    this.heard = Date.now();
    this.why = "";
    this.open();
    setInterval(() => this.watch(), 5_000);
  }

  /** The bridge's clock, in Unix milliseconds. */
  now() {
    return Date.now() + this.offset;
  }

  open() {
    this.source?.close();
    this.source = new EventSource(this.url);
    this.source.addEventListener("snapshot", (event) => this.take(event, true));
    this.source.addEventListener("change", (event) => this.take(event, false));
    this.source.addEventListener("beat", () => this.alive());
    this.source.addEventListener("error", () => this.lost());
  }

  take(event, isWhole) {
    const content = JSON.parse(event.data);
    this.offset = content.now - Date.now();
    this.why = content.standsStill;
    this.alive();
    this.taken(content, isWhole);
  }

  alive() {
    this.heard = Date.now();
    clearTimeout(this.timer);
    this.timer = undefined;
    this.say(this.why ? `Figures stand still: ${this.why}` : "Live", this.why ? "late" : "live");
  }

  lost() {
    if (this.isOver()) {
      this.source.close();
      this.say("This link’s time is over; ask for a new one", "late");
      return;
    }
    this.say("Connection lost; trying again", "late");
    if (this.source.readyState === EventSource.CLOSED && !this.timer) {
      this.timer = setTimeout(() => {
        this.timer = undefined;
        this.open();
      }, AGAIN);
    }
  }

  watch() {
    if (this.isOver()) this.lost();
    else if (Date.now() - this.heard > SILENCE) {
      this.heard = Date.now();
      this.say("Nothing heard for a while; trying again", "late");
      this.open();
    }
  }

  isOver() {
    return this.ends > 0 && this.now() / 1000 > this.ends;
  }

  say(text, kind) {
    write(this.node, text);
    this.node.className = kind;
  }
}
