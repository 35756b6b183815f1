// The server's events, one connection for the page; a lost one is taken up again by the browser.

import { address, query } from "./api.js";

const KINDS = ["detection", "event", "status", "gap", "spectrum"];

export class LiveStream {
  constructor(station, on) {
    this.source = new EventSource(address("live") + query({ station }));
    this.source.onopen = () => on.open?.();
    this.source.onerror = () => on.lost?.();
    for (const kind of KINDS)
      this.source.addEventListener(kind, (message) => {
        let data;
        try { data = JSON.parse(message.data); } catch { return; }
        on[kind]?.(data);
      });
  }

  close() { this.source.close(); }
}
