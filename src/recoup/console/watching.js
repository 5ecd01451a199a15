// The socket on which events are watched: opens it, opens it again with a fresh token when it ends, tells what comes.

import { accessToken } from "./api.js";
import { session } from "./session.js";

const PAUSES = [1_000, 2_000, 5_000, 10_000, 30_000]; // milliseconds before each further try

/** Watches until told to stop. `told({state, frame})`: state is "connecting", "open" or "waiting". */
export function watch(filter, told) {
  let socket = null;
  let timer = 0;
  let tries = 0;
  let isOver = false;

  async function open() {
    told({ state: "connecting" });
    let token;
    try {
      token = await accessToken();
    } catch {
      return later();
    }
    if (isOver) return;
    const query = new URLSearchParams({ token, store_id: session().store });
    for (const [name, value] of Object.entries(filter)) if (value) query.set(name, value);
    socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/api/events/tail?${query}`);
    socket.onmessage = ({ data }) => {
      // What was on its way when it was told to stop belongs to another filter.
      if (isOver) return;
      tries = 0;
      told({ state: "open", frame: JSON.parse(data) });
    };
    socket.onclose = later;
  }

  function later({ code } = {}) {
    if (isOver) return;
    // It ends by itself every few minutes, so that whoever may no longer look is asked again.
    const pause = code === 1000 ? 0 : PAUSES[Math.min(tries, PAUSES.length - 1)];
    tries += 1;
    if (pause) told({ state: "waiting" });
    timer = setTimeout(open, pause);
  }

  open();
  return () => {
    isOver = true;
    clearTimeout(timer);
    // Browsers complain about a socket that is closed before it is open.
    if (socket?.readyState === WebSocket.CONNECTING) socket.onopen = () => socket.close();
    else socket?.close();
  };
}
