/** How the reference page looks: dark or light as the reader's system is, on any width. */
export const REFERENCE_STYLE = `
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5a6675; --paper: #fbfcfd; --raised: #fff; --line: #d9dfe6; --link: #0b5cad; --get: #1d6b3a; --post: #0b5cad; --put: #8a5300; --delete: #b3261e; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e4e9f0; --soft: #a0acba; --paper: #12171e; --raised: #1a212b; --line: #313b48; --link: #7db8f5; --get: #7ed09b; --post: #7db8f5; --put: #e5b567; --delete: #f2938c; }
}
* { box-sizing: border-box; }
html { scroll-padding-top: 1rem; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; display: grid; grid-template-columns: 17rem minmax(0, 1fr); }
a { color: var(--link); }
:focus-visible { outline: 3px solid var(--link); outline-offset: 2px; }
.skip { position: absolute; left: -99rem; }
.skip:focus { left: 1rem; top: 1rem; background: var(--raised); padding: .5rem 1rem; z-index: 1; }
nav { position: sticky; top: 0; height: 100vh; overflow-y: auto; padding: 1rem; border-right: 1px solid var(--line); font-size: .9rem; }
nav .name { font-weight: 700; margin: 0 0 .5rem; }
nav ul { list-style: none; margin: .2rem 0 .6rem; padding: 0 0 0 .8rem; }
nav li { display: flex; justify-content: space-between; gap: .5rem; padding: .1rem 0; }
nav a { overflow-wrap: anywhere; text-decoration: none; }
summary { cursor: pointer; padding: .2rem 0; }
main { padding: 1.5rem clamp(1rem, 4vw, 3rem) 6rem; max-width: 64rem; }
h1 small { color: var(--soft); font-size: 1rem; font-weight: 400; }
h2 { margin: 3rem 0 1rem; border-bottom: 1px solid var(--line); }
h3 { margin: 0 0 .4rem; font-size: 1.1rem; }
h3 a { color: inherit; text-decoration: none; }
h3 a:hover { text-decoration: underline; }
h4 { margin: 1.1rem 0 .3rem; font-size: .85rem; color: var(--soft); }
article { background: var(--raised); border: 1px solid var(--line); border-radius: .5rem; padding: 1.1rem 1.3rem; margin: 1rem 0; }
article:has(:target) { border-color: var(--link); }
p { margin: .4rem 0; }
code, pre { font: .9em/1.5 ui-monospace, monospace; }
pre { overflow-x: auto; background: var(--paper); border: 1px solid var(--line); border-radius: .35rem; padding: .7rem .9rem; margin: 1rem 0 0; }
.line code { overflow-wrap: anywhere; }
.verb { font: 600 .78rem/1.4 ui-monospace, monospace; color: var(--soft); }
.verb.get, .verb.head { color: var(--get); } .verb.post { color: var(--post); } .verb.put, .verb.patch { color: var(--put); } .verb.delete { color: var(--delete); }
.facts, .limits, .optional { color: var(--soft); font-size: .88rem; }
.facts span + span::before { content: "· "; }
.type { font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; margin: .3rem 0; font-size: .92rem; }
th, td { text-align: left; vertical-align: top; padding: .3rem .8rem .3rem 0; border-top: 1px solid var(--line); font-weight: 400; }
thead th { color: var(--soft); border-top: 0; }
table.fields { border-left: 2px solid var(--line); }
table.fields th { padding-left: .8rem; min-width: 9rem; }
.branches { margin: .3rem 0; padding-left: 1.1rem; }
dl { display: grid; grid-template-columns: max-content minmax(0, 1fr); gap: .3rem 1rem; margin: .3rem 0; }
dt { font-weight: 600; } dd { margin: 0; min-width: 0; }
@media (max-width: 56rem) {
  body { display: block; }
  nav { position: static; height: auto; border-right: 0; border-bottom: 1px solid var(--line); }
  .answers { grid-template-columns: 1fr; }
}
`;
