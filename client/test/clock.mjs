// A clock that stands still until it is told otherwise, and the timers on it.
export class Clock {
  time = Date.parse('2026-11-23T12:00:00Z');
  timers = new Map(); // id to {at, call}
  #id = 0;

  now = () => this.time;

  setTimeout = (call, ms) => {
    this.timers.set(++this.#id, { at: this.time + ms, call, ms });
    return this.#id;
  };

  clearTimeout = (id) => this.timers.delete(id);

  // waits are the delays that the timers were set to.
  get waits() {
    return [...this.timers.values()].map((t) => t.ms);
  }

  // advance lets ms pass and fires what is due, in order.
  advance(ms) {
    const end = this.time + ms;
    for (;;) {
      const [id, timer] = [...this.timers].sort(([, a], [, b]) => a.at - b.at)[0] ?? [];
      if (!timer || timer.at > end) break;
      this.timers.delete(id);
      this.time = Math.max(this.time, timer.at);
      timer.call();
    }
    this.time = end;
  }

  // step moves the wall clock, but not the timers: a laptop that slept (ms > 0),
  // or a clock that was set.
  step(ms) {
    this.time += ms;
    for (const timer of this.timers.values()) timer.at += ms;
  }
}
