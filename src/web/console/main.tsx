/** Where the console starts in the browser: its look, who sits before it, and the page for the address. */
import { render } from "preact";
import { App } from "./app.tsx";
import { SessionProvider } from "./session.tsx";
import { startTheme } from "./theme.ts";

startTheme();
const place = document.getElementById("console");
if (!place) throw new Error("the page has no place for the console");
place.replaceChildren();
render(
  <SessionProvider>
    <App />
  </SessionProvider>,
  place,
);
