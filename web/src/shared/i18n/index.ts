import dayjs from "dayjs";
import "dayjs/locale/zh-cn";
import i18n from "i18next";
import { initReactI18next } from "react-i18next";
import { en } from "./en";
import { zh } from "./zh";

export const LANGUAGES = { en: "English", zh: "中文" } as const;
export type Language = keyof typeof LANGUAGES;
const STORE = "utcloud.language";

function first(): Language {
  const stored = localStorage.getItem(STORE);
  if (stored === "en" || stored === "zh") return stored;
  return navigator.language.toLowerCase().startsWith("zh") ? "zh" : "en";
}

/** Tell the page and the calendar. */
function announce(language: string): void {
  document.documentElement.lang = language;
  dayjs.locale(language === "zh" ? "zh-cn" : "en");
}

export function setLanguage(language: Language): void {
  localStorage.setItem(STORE, language);
  announce(language);
  void i18n.changeLanguage(language);
}

void i18n.use(initReactI18next).init({
  resources: { en: { translation: en }, zh: { translation: zh } },
  lng: first(),
  fallbackLng: "en",
  interpolation: { escapeValue: false },
});
announce(i18n.language);

declare module "i18next" {
  interface CustomTypeOptions {
    resources: { translation: typeof en };
  }
}
