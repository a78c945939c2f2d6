"""The window: the mail of an application, and all that waits in it, as pages for a browser.

`lamson web` shows it in production, `lamson dev` while one develops. The pages are made here, and
work without JavaScript, and better with a little of it. What a stranger wrote is shown in a
frame of its own in which nothing runs and nothing is loaded (`safe_html`); `guard` and `sessions`
say who may ask. The window imports no code of the project: a process of its own is asked for what
only that knows (`inquiry`). The extra ``web`` brings what this package needs.
"""
