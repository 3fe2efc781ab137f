/** Dark or light: as the system says, or as somebody chose in this browser. */
import { useEffect, useState } from "preact/hooks";

export type ThemeChoice = "system" | "light" | "dark";

const KEY = "sternway-theme";
const dark = matchMedia("(prefers-color-scheme: dark)");

function stored(): ThemeChoice {
  try {
    const value = localStorage.getItem(KEY);
    return value === "light" || value === "dark" ? value : "system";
  } catch {
    // A browser that keeps nothing for us: the system decides.
    return "system";
  }
}

function show(choice: ThemeChoice): void {
  const isDark = choice === "dark" || (choice === "system" && dark.matches);
  document.documentElement.dataset["theme"] = isDark ? "dark" : "light";
}

/** Draws what was chosen, and follows the system. Before the first page, so that it does not flash. */
export function startTheme(): void {
  show(stored());
  dark.addEventListener("change", () => show(stored()));
}

/** The choice, and a way to change it. */
export function useTheme(): [ThemeChoice, (choice: ThemeChoice) => void] {
  const [choice, setChoice] = useState(stored);
  useEffect(() => {
    show(choice);
    try {
      if (choice === "system") localStorage.removeItem(KEY);
      else localStorage.setItem(KEY, choice);
    } catch {
      // Then it holds as long as this page.
      return;
    }
  }, [choice]);
  return [choice, setChoice];
}
