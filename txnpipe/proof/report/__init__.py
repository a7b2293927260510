"""The proof as one page to keep or to send: no script, nothing fetched, readable on a phone and on paper.

`page` puts it together, `tables`, `lists` and `pictures` say what is in it, `charts` draws, `markup` escapes,
`style` is its look, `writing` puts it on disk.
"""
