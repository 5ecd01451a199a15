// Shows one screen at a time: starts its feeds, draws it at most once a frame, patches what changed, ends it on leaving.
//
// A screen is {title, sources({params, state}), view({feeds, state, set, params, refresh})}. `set` changes its state and
// draws again; with `reload: true` the sources are asked anew (another period, another filter). A screen with something
// to hold while it is shown has `enter({state, set})`, which gives what ends that.

import { patch } from "./dom.js";
import { follow } from "./feed.js";
import { onScreen } from "./announce.js";

export function createStage(root) {
  let leave = () => {};
  return {
    show(screen, params) {
      leave();
      leave = present(root, screen, params);
    },
    clear() {
      leave();
      leave = () => {};
      root.replaceChildren();
    },
  };
}

function present(root, screen, params) {
  const state = { ...screen.state };
  let feeds = {};
  let feed = null;
  let frame = 0;

  const draw = () => {
    frame = 0;
    patch(root, [screen.view({ feeds, state, set, params, refresh: () => feed?.refresh() })].flat());
  };
  const later = () => {
    frame ||= requestAnimationFrame(draw);
  };
  const start = () => {
    feed?.stop();
    feed = follow(screen.sources({ params, state }), (snapshot) => {
      feeds = snapshot;
      later();
      if (screen.spoken) onScreen(screen.spoken(snapshot));
    });
  };

  function set(changes, { reload = false } = {}) {
    Object.assign(state, changes);
    if (reload) start();
    later();
  }

  document.title = `${screen.title} · Recoup`;
  root.replaceChildren();
  feeds = Object.fromEntries(
    Object.keys(screen.sources({ params, state })).map((name) => [name, { data: null, problem: null }]),
  );
  draw();
  start();
  const end = screen.enter?.({ state, set });
  return () => {
    end?.();
    feed.stop();
    cancelAnimationFrame(frame);
  };
}
