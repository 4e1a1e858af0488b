"""The page of a report: its style sheet and its jinja2 template.

The page loads nothing, no script, font or picture from elsewhere, and its own policy forbids it.
"""

from __future__ import annotations

STYLE = """
:root {
  color-scheme: light dark;
  --ground: #ffffff; --ink: #1d2126; --soft: #59616b; --rule: #d9dde2; --panel: #f5f6f8;
  --accent: #0a5c99; --good: #10653f; --warning: #875300; --bad: #a32014;
  --good-ground: #edf7f1; --warning-ground: #fdf5e4; --bad-ground: #fdefec;
}
@media (prefers-color-scheme: dark) {
  :root {
    --ground: #15181c; --ink: #e4e7eb; --soft: #a0a8b2; --rule: #343a42; --panel: #1d2127;
    --accent: #74b9ee; --good: #6fcf9a; --warning: #ecb75c; --bad: #f58d7e;
    --good-ground: #15271e; --warning-ground: #2b2312; --bad-ground: #301a17;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; scroll-behavior: smooth; }
body {
  margin: 0; background: var(--ground); color: var(--ink);
  font: 1rem/1.6 system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans", "Liberation Sans",
    sans-serif;
  overflow-wrap: break-word;
}
main { max-width: 60rem; margin: 0 auto; padding: 3rem 1.5rem 4rem; }
h1 { font-size: 1.9rem; line-height: 1.2; letter-spacing: -0.015em; margin: 0 0 1.25rem; }
h2 {
  font-size: 1.25rem; line-height: 1.3; margin: 3rem 0 0.9rem; padding-top: 1rem;
  border-top: 1px solid var(--rule);
}
h2 .number { color: var(--soft); font-weight: 400; margin-right: 0.4em; }
p, ul { margin: 0 0 0.9rem; max-width: 44rem; }
ul { padding-left: 1.2rem; }
li { margin-bottom: 0.3rem; }
a { color: var(--accent); text-decoration-thickness: 1px; text-underline-offset: 0.2em; }
.note, figcaption, .caption, footer { color: var(--soft); font-size: 0.875rem; line-height: 1.45; }
.tone { border-left: 4px solid var(--soft); background: var(--panel); padding: 0.8rem 1.1rem;
  margin: 0 0 1.2rem; border-radius: 0 4px 4px 0; }
.tone > :last-child { margin-bottom: 0; }
.tone.good { border-color: var(--good); background: var(--good-ground); }
.tone.warning { border-color: var(--warning); background: var(--warning-ground); }
.tone.bad { border-color: var(--bad); background: var(--bad-ground); }
.lead { font-size: 1.1rem; line-height: 1.5; padding: 1.1rem 1.35rem; }
.lead strong { display: block; font-size: 0.78rem; letter-spacing: 0.07em;
  text-transform: uppercase; margin-bottom: 0.25rem; }
.good > strong, .mark.good { color: var(--good); }
.warning > strong { color: var(--warning); }
.bad > strong, .mark.bad { color: var(--bad); }
.headline { display: flex; flex-wrap: wrap; gap: 1px;
  margin: 1.5rem 0; background: var(--rule); border: 1px solid var(--rule); border-radius: 4px;
  overflow: hidden; }
.headline div { flex: 1 1 10rem; background: var(--ground); padding: 0.8rem 1rem; }
.headline dt { color: var(--soft); font-size: 0.8rem; line-height: 1.35; }
.headline dd { margin: 0; }
.headline .value { font-size: 1.35rem; font-weight: 600; line-height: 1.4;
  font-variant-numeric: tabular-nums; }
nav ol { margin: 0 0 1rem; padding: 0; list-style: none; columns: 2; column-gap: 2.5rem;
  counter-reset: part; }
nav li { counter-increment: part; break-inside: avoid; margin-bottom: 0.2rem; }
nav li::before { content: counter(part); color: var(--soft); display: inline-block; width: 1.8em;
  font-variant-numeric: tabular-nums; }
nav a { text-decoration: none; }
nav a:hover, nav a:focus-visible { text-decoration: underline; }
.scroll { overflow-x: auto; margin: 0 0 1.4rem; }
.scroll:focus-visible { outline: 2px solid var(--accent); outline-offset: 2px; }
table { border-collapse: collapse; width: 100%; font-size: 0.9rem; line-height: 1.4; }
.caption { margin-bottom: 0.4rem; break-after: avoid; }
th, td { text-align: left; vertical-align: top; padding: 0.42rem 1.1rem 0.42rem 0; }
th:last-child, td:last-child { padding-right: 0.5rem; }
th:first-child, td:first-child { padding-left: 0.5rem; }
thead th { font-weight: 600; border-bottom: 1.5px solid var(--soft); vertical-align: bottom; }
tbody th { font-weight: 400; }
tbody tr:first-child { border-top: 1px solid var(--rule); }
tbody tr { border-bottom: 1px solid var(--rule); }
tbody td { min-width: 3rem; }
td.text { max-width: 36rem; min-width: 11rem; overflow-wrap: anywhere; }
.number-cell { text-align: right; font-variant-numeric: tabular-nums; }
td.number-cell, .whole { white-space: nowrap; }
tr.highlight { background: var(--panel); box-shadow: inset 3px 0 0 var(--accent); }
tr.highlight > :first-child { font-weight: 600; }
.interval { color: var(--soft); }
.stacked .interval { display: block; font-size: 0.92em; }
.mark { font-weight: 600; white-space: nowrap; }
figure { margin: 0 0 1.6rem; }
figure .card { background: #ffffff; border: 1px solid var(--rule); border-radius: 4px;
  padding: 0.9rem; overflow-x: auto; }
figure svg { display: block; width: 100%; min-width: 29rem; max-width: 46rem; height: auto;
  margin: 0 auto; }
figure svg text { font-family: system-ui, -apple-system, "Segoe UI", Roboto, "Noto Sans",
  "Liberation Sans", sans-serif !important; }
figcaption { padding-top: 0.5rem; max-width: 44rem; }
footer { margin-top: 3rem; padding-top: 1rem; border-top: 1px solid var(--rule); }
@media (max-width: 40rem) {
  main { padding: 1.5rem 1rem 3rem; }
  h1 { font-size: 1.5rem; }
  nav ol { columns: 1; }
}
@media print {
  :root { color-scheme: light; --ground: #fff; --ink: #000; --soft: #444; --rule: #bbb;
    --panel: #f3f3f3; --accent: #000; --good: #10653f; --warning: #7a4b00; --bad: #a32014;
    --good-ground: #fff; --warning-ground: #fff; --bad-ground: #fff; }
  body { font-size: 10pt; }
  main { max-width: none; padding: 0; }
  h1 { font-size: 17pt; }
  footer { margin-top: 1rem; break-before: avoid; }
  h2 { break-after: avoid; margin-top: 1.6rem; }
  tr, figure, .tone, .headline { break-inside: avoid; }
  thead { display: table-header-group; }
  .scroll, figure .card { overflow: visible; }
  table { font-size: 8.5pt; }
  figure svg { min-width: 0; }
  td.number-cell, .whole { white-space: normal; }
}
"""

TEMPLATE = """\
{%- macro prose(text) -%}
{%- for part in text.paragraphs() -%}
{%- if part is string %}<p>{{ part }}</p>
{% else %}<ul>{% for item in part %}<li>{{ item }}</li>{% endfor %}</ul>
{% endif -%}
{%- endfor -%}
{%- endmacro -%}

{%- macro cell_content(cell) -%}
{%- if cell.mark %}<span class="mark {{ cell.mark }}">{{ cell.sign }} {{ cell.shown }}</span>
{%- else %}{{ cell.shown }}
{%- if cell.interval %} <span class="interval">{{ cell.interval }}</span>{% endif -%}
{%- endif -%}
{%- endmacro -%}

{%- macro grid(view) -%}
{% if view.caption %}<p class="caption">{{ view.caption }}</p>
{% endif -%}
<div class="scroll" role="region" tabindex="0" aria-label="{{ view.label }}">
<table{% if view.stacked %} class="stacked"{% endif %}>
{% if view.headed %}<thead><tr>
{%- for column in view.columns %}<th scope="col" class="{{ column.kind }}">{{ column.title }}</th>
{%- endfor %}</tr></thead>{% endif %}
<tbody>
{% for row in view.rows -%}
<tr{% if row.highlight %} class="highlight"{% endif %}>
{%- for cell in row.cells -%}
{%- if loop.first %}<th scope="row" class="{{ cell.kind }}">{{ cell_content(cell) }}</th>
{%- else %}<td class="{{ cell.kind }}">{{ cell_content(cell) }}</td>{% endif -%}
{%- endfor -%}
</tr>
{% endfor -%}
</tbody></table></div>
{% endmacro -%}

{%- macro drawing(view) -%}
<figure><div class="card" role="img" aria-label="{{ view.description }}">{{ view.svg }}</div>
<figcaption>{{ view.caption }}</figcaption></figure>
{% endmacro -%}

<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; img-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="generator" content="edgekit {{ version }}">
<title>{{ title }}</title>
<style>{{ style }}</style>
</head>
<body>
<main>
<header>
<h1>{{ title }}</h1>
<div class="lead tone {{ lead.tone }}"><strong>{{ verdict }}</strong>
{{ prose(lead) }}</div>
{% if headline -%}
<dl class="headline">
{% for item in headline -%}
<div><dt>{{ item.label }}</dt><dd class="value">{{ item.value }}</dd>
{%- if item.detail %}<dd class="note">{{ item.detail }}</dd>{% endif %}</div>
{% endfor -%}
</dl>
{% endif -%}
<nav aria-label="Contents">
<ol>
{% for section in sections -%}
<li><a href="#section-{{ loop.index }}">{{ section.title }}</a></li>
{% endfor -%}
</ol>
</nav>
</header>
{% for section in sections -%}
<section id="section-{{ loop.index }}">
<h2><span class="number">{{ loop.index }}</span>{{ section.title }}</h2>
{% for view in section.views -%}
{% if view.kind == "table" %}{{ grid(view) }}
{%- elif view.kind == "figure" %}{{ drawing(view) }}
{%- elif view.text.tone == "plain" %}{{ prose(view.text) }}
{%- else %}<div class="tone {{ view.text.tone }}">{{ prose(view.text) }}</div>
{% endif -%}
{% endfor -%}
{% if section.note %}<p class="note">{{ section.note }}</p>
{% endif -%}
</section>
{% endfor -%}
<footer>{{ footer }}</footer>
</main>
</body>
</html>
"""
