"""The web console: plain ES modules, style sheets and one page, served by the gateway as they lie here.

For marketers, analysts and on-call engineers. Reads the public API under `/api` with the caller's own access token and
nothing else: no build step, no outside assets, no inline script or style (`default-src 'self'` holds).

    index.html  the page            main.js      starts it; the list of screens
    session.js  who is logged in    api.js       requests, and problem documents as errors
    feed.js     live data           stage.js     shows one screen at a time, patches what changed
    dom.js      nodes and patching  format.js    money, figures and times as text (pure)
    screens/    one module each     styles/      tokens, then base, shell, parts, screens
"""
