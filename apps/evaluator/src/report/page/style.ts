// The style sheet of the page: light and dark, phone and print.

export const style = `
:root {
  color-scheme: light dark;
  --page: #ffffff; --raised: #f4f6f8; --ink: #1b2127; --faint: #59636e; --grid: #d5dae0; --link: #0b57a4; --shade: 11, 87, 164;
  --c1: #0b57a4; --c2: #b3480b; --c3: #117a4f; --c4: #8a2a8c; --c5: #7a5a00; --c6: #a01f45;
}
@media (prefers-color-scheme: dark) {
  :root {
    --page: #14181d; --raised: #1d232a; --ink: #e6eaee; --faint: #a3adb8; --grid: #3a434d; --link: #7db8f5; --shade: 96, 165, 240;
    --c1: #6db0f5; --c2: #f2955a; --c3: #58c894; --c4: #d693d8; --c5: #d9b445; --c6: #f08aa5;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.5 system-ui, -apple-system, 'Segoe UI', Roboto, sans-serif; }
header, main, footer, nav { max-width: 72rem; margin: 0 auto; padding: 0 1rem; }
header { padding-top: 1.5rem; }
h1 { font-size: 1.7rem; line-height: 1.25; margin: 0 0 .25rem; overflow-wrap: anywhere; }
h2 { font-size: 1.35rem; margin: 2.5rem 0 .5rem; padding-bottom: .25rem; border-bottom: 2px solid var(--grid); overflow-wrap: anywhere; }
h3 { font-size: 1.1rem; margin: 1.75rem 0 .5rem; overflow-wrap: anywhere; }
h4 { font-size: 1rem; margin: 1rem 0 .25rem; overflow-wrap: anywhere; }
p { margin: .4rem 0; max-width: 48rem; overflow-wrap: anywhere; }
a { color: var(--link); }
a:focus-visible, summary:focus-visible, .scroll:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.about { color: var(--faint); }
nav ul { display: flex; flex-wrap: wrap; gap: .25rem 1rem; margin: .75rem 0 0; padding: 0; list-style: none; }
#summary { background: var(--raised); border-radius: .5rem; padding: .25rem 1.25rem 1rem; margin-top: 1.25rem; }
#summary h2 { margin-top: .75rem; border: 0; }
#summary p:first-of-type { font-size: 1.1rem; font-weight: 600; }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 23rem), 1fr)); gap: 0 1.5rem; align-items: start; }
figure { margin: .75rem 0; max-width: 36rem; min-width: 0; }
figcaption { font-weight: 600; margin-bottom: .25rem; }
figure > svg { display: block; width: 100%; height: auto; }
figure.explanation { max-width: 60rem; }
figure.explanation img { display: block; max-width: 100%; height: auto; background: #000; }
figure.explanation caption { white-space: normal; }
figure.explanation td { overflow-wrap: anywhere; }
details { margin: .25rem 0; }
summary { cursor: pointer; color: var(--faint); padding: .15rem 0; }
.scroll { overflow-x: auto; max-width: 100%; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .875rem; font-variant-numeric: tabular-nums; }
caption { text-align: left; font-weight: 600; font-size: .95rem; padding-bottom: .25rem; white-space: nowrap; }
caption > * { display: block; white-space: normal; width: max-content; max-width: min(48rem, 100vw - 2rem); }
caption small { font-weight: 400; color: var(--faint); }
th, td { padding: .25rem .6rem; border-bottom: 1px solid var(--grid); text-align: left; vertical-align: top; }
thead th { border-bottom: 2px solid var(--faint); vertical-align: bottom; }
tbody th { font-weight: 500; position: sticky; left: 0; background: var(--page); }
td.t { min-width: 9.5rem; overflow-wrap: anywhere; }
td.n, th.n { text-align: right; }
td.n { white-space: nowrap; }
.range { display: block; font-size: .78rem; color: var(--faint); }
.long { overflow-wrap: anywhere; min-width: 8rem; }
td.long { min-width: 15rem; }
ul.words { margin: .4rem 0; padding-left: 1.2rem; max-width: 48rem; overflow-wrap: anywhere; }
ul.words li { margin: .3rem 0; }
.matrix td { background: rgba(var(--shade), calc(var(--s, 0) * .45)); }
.more { color: var(--faint); font-size: .875rem; }
.pictures { display: grid; grid-template-columns: repeat(auto-fill, minmax(8.5rem, 1fr)); gap: .75rem; margin: .5rem 0; padding: 0; list-style: none; max-width: 60rem; }
.pictures img { display: block; width: 100%; height: auto; background: #000; }
.pictures li { font-size: .8rem; overflow-wrap: anywhere; min-width: 0; }
pre { background: var(--raised); padding: .75rem; overflow-x: auto; font-size: .8rem; margin: .25rem 0; }
footer { color: var(--faint); font-size: .875rem; padding-top: 2rem; padding-bottom: 2rem; }
.skip { position: absolute; left: -999px; }
.skip:focus { left: 1rem; top: .5rem; background: var(--page); padding: .25rem .5rem; }
@media (max-width: 30rem) {
  h1 { font-size: 1.4rem; } h2 { font-size: 1.2rem; }
  th, td { padding: .25rem .45rem; }
  #summary { padding: .25rem .9rem .75rem; }
}
@page { size: A4; margin: 14mm 12mm; }
@media print {
  :root {
    color-scheme: light;
    --page: #ffffff; --raised: #f4f6f8; --ink: #000000; --faint: #444444; --grid: #c4c9cf; --link: #000000; --shade: 11, 87, 164;
    --c1: #0b57a4; --c2: #b3480b; --c3: #117a4f; --c4: #8a2a8c; --c5: #7a5a00; --c6: #a01f45;
  }
  body { font-size: 9.5pt; }
  header, main, footer { max-width: none; padding-left: 0; padding-right: 0; }
  nav, .skip, figure > details { display: none; }
  .scroll { overflow: visible; }
  table { font-size: 7.5pt; max-width: 100%; }
  caption { white-space: normal; font-size: 9pt; }
  caption > * { width: auto; max-width: none; }
  p, ul.words { max-width: none; }
  figure { max-width: 11cm; }
  tbody th { position: static; min-width: 2.2cm; }
  table.wide { font-size: 6pt; width: 100%; }
  table.wide th, table.wide td { padding: .12rem .18rem; }
  .range { font-size: .9em; }
  td.n { white-space: normal; }
  .range { white-space: nowrap; }
  th, td, p { overflow-wrap: anywhere; }
  thead th { overflow-wrap: break-word; }
  td.long, td.t { min-width: 0; }
  figure.explanation { max-width: 13cm; }
  thead { display: table-header-group; }
  tr, figure, li, h2, h3, h4, caption { break-inside: avoid; }
  h2, h3, h4, caption, p:has(+ figure), p:has(+ .charts), p:has(+ h4) { break-after: avoid; }
  main > section:not(#summary):not(:nth-child(2)) { break-before: page; }
  .charts { grid-template-columns: 1fr 1fr; }
  .matrix td, .pictures img { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
  pre { white-space: pre-wrap; overflow-wrap: anywhere; }
}
`;
